package io.flotilla.server;

import io.flotilla.server.openai.OpenAiError;
import io.helidon.http.HeaderNames;
import io.helidon.webserver.http.ServerResponse;
import java.nio.charset.StandardCharsets;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** Sends whole answers. */
final class Replies {
  static final String JSON = "application/json; charset=utf-8";

  private Replies() {}

  static void json(ServerResponse response, int status, JsonNode body) {
    response.status(status);
    response.header(HeaderNames.CONTENT_TYPE, JSON);
    response.send(JsonMapper.shared().writeValueAsBytes(body));
  }

  static void error(ServerResponse response, OpenAiError error) {
    if (error.status() == 429) {
      response.header(HeaderNames.RETRY_AFTER, "1");
    }
    json(response, error.status(), error.json());
  }

  /** Prometheus' text format. */
  static void text(ServerResponse response, String text) {
    response.header(HeaderNames.CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8");
    response.send(text.getBytes(StandardCharsets.UTF_8));
  }
}
