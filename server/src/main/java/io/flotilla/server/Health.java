package io.flotilla.server;

import io.flotilla.fleet.EngineStatus;
import io.flotilla.generation.LanguageModel;
import io.flotilla.generation.Version;
import io.flotilla.server.openai.OpenAiError;
import io.helidon.webserver.http.ServerRequest;
import io.helidon.webserver.http.ServerResponse;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.json.JsonMapper;

/**
 * Says whether the server can do its work. A replica whose ranks make no progress fails (see {@code
 * Executor#failure}), so this follows the steps and not the HTTP server alone.
 */
final class Health {
  private final LanguageModel model;
  private final Reception reception;

  Health(LanguageModel model, Reception reception) {
    this.model = model;
    this.reception = reception;
  }

  /** 200 while requests are served, else 503 with the cause. */
  @SuppressWarnings("UnusedVariable") // The shape of a handler.
  void answer(ServerRequest request, ServerResponse response) {
    OpenAiError error = trouble();
    if (error == null) {
      Replies.json(response, 200, JsonMapper.shared().createObjectNode().put("status", "serving"));
    } else {
      Replies.error(response, error);
    }
  }

  private @Nullable OpenAiError trouble() {
    if (reception.isDraining()) {
      return OpenAiError.draining();
    }
    for (EngineStatus status : model.statuses()) {
      if (status.isServing()) {
        return null;
      }
    }
    for (EngineStatus status : model.statuses()) {
      String trouble = status.trouble();
      if (trouble != null) {
        return OpenAiError.unavailable("no replica lives: " + trouble);
      }
    }
    return OpenAiError.draining();
  }

  /** The server's version, as vLLM says its own. */
  @SuppressWarnings("UnusedVariable") // The shape of a handler.
  void version(ServerRequest request, ServerResponse response) {
    Replies.json(
        response, 200, JsonMapper.shared().createObjectNode().put("version", Version.current()));
  }
}
