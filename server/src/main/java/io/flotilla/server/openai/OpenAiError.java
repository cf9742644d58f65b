package io.flotilla.server.openai;

import io.flotilla.engine.TokenEvent.FailureCode;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/**
 * An answer that is no answer, in OpenAI's form.
 *
 * @param status of HTTP
 * @param message names the thing and the fix
 * @param param the field at fault, or null
 * @param code what programs look at, or null
 */
public record OpenAiError(
    int status, String message, String type, @Nullable String param, @Nullable String code) {
  private static final String INVALID = "invalid_request_error";
  private static final String SERVER = "server_error";

  /** The request is at fault. */
  public static OpenAiError invalid(@Nullable String param, String message) {
    return new OpenAiError(400, message, INVALID, param, null);
  }

  /** The request is at fault in a way that has a status or a code of its own. */
  public static OpenAiError refused(int status, String message, @Nullable String code) {
    return new OpenAiError(status, message, INVALID, null, code);
  }

  /** The prompt, or the prompt and what it asks for, do not fit the context. */
  public static OpenAiError tooLong(@Nullable String param, String message) {
    return new OpenAiError(400, message, INVALID, param, "context_length_exceeded");
  }

  /** No model of this name is served. */
  public static OpenAiError unknownModel(String name, String served) {
    return new OpenAiError(
        404,
        "the model " + name + " does not exist; this server serves " + served,
        INVALID,
        "model",
        "model_not_found");
  }

  /** The server takes no more work. */
  public static OpenAiError draining() {
    return new OpenAiError(
        503, "the server is shutting down; send the request to another", SERVER, null, "draining");
  }

  /** The server cannot do its work. */
  public static OpenAiError unavailable(String message) {
    return new OpenAiError(503, message, SERVER, null, "replica_failed");
  }

  /** The server has a bug; its log has the rest. */
  public static OpenAiError internal() {
    return new OpenAiError(
        500, "internal error; the server's log has its cause", SERVER, null, "internal_error");
  }

  /** What an engine says of a choice that it cannot serve. */
  static OpenAiError of(FailureCode code, String message) {
    return switch (code) {
      case OVERLOADED -> new OpenAiError(429, message, "rate_limit_error", null, "overloaded");
      case TOO_LONG -> tooLong(null, message);
      case DRAINING -> draining();
      case INVALID_LOGITS -> new OpenAiError(500, message, SERVER, null, "invalid_logits");
      case REPLICA_FAILED -> unavailable(message);
    };
  }

  /** {@code {"error": {...}}}. */
  public ObjectNode json() {
    ObjectNode root = JsonMapper.shared().createObjectNode();
    root.putObject("error")
        .put("message", message)
        .put("type", type)
        .put("param", param)
        .put("code", code);
    return root;
  }
}
