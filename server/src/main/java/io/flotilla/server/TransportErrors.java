package io.flotilla.server;

import io.flotilla.server.openai.OpenAiError;
import io.helidon.http.DirectHandler;
import io.helidon.http.DirectHandler.EventType;
import io.helidon.http.DirectHandler.TransportRequest;
import io.helidon.http.DirectHandler.TransportResponse;
import io.helidon.http.HeaderNames;
import io.helidon.http.ServerResponseHeaders;
import io.helidon.http.Status;
import io.helidon.webserver.http.DirectHandlers;
import tools.jackson.databind.json.JsonMapper;

/** Gives OpenAI's form to the errors of requests that are no HTTP and so reach no endpoint. */
final class TransportErrors implements DirectHandler {
  private TransportErrors() {}

  static DirectHandlers handlers() {
    DirectHandlers.Builder builder = DirectHandlers.builder();
    for (EventType type : EventType.values()) {
      builder.addHandler(type, new TransportErrors());
    }
    return builder.build();
  }

  @Override
  public TransportResponse handle(
      TransportRequest request,
      EventType type,
      Status status,
      ServerResponseHeaders headers,
      String message) {
    OpenAiError error =
        status.code() >= 500
            ? OpenAiError.internal()
            : OpenAiError.refused(status.code(), status.reasonPhrase() + ": " + message, null);
    return TransportResponse.builder()
        .status(status)
        .headers(headers)
        .header(HeaderNames.CONTENT_TYPE, Replies.JSON)
        .keepAlive(type.keepAlive())
        .entity(JsonMapper.shared().writeValueAsBytes(error.json()))
        .build();
  }
}
