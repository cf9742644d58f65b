package io.flotilla.bench.client;

import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * One event of a streamed completion.
 *
 * @param hasChoices whether it carries a token; the last one may carry {@code usage} alone
 * @param text what was added to the first choice, possibly nothing
 * @param finishReason why the first choice ended, or null while it goes on
 * @param promptTokens of {@code usage}, or 0
 * @param completionTokens of {@code usage}, or 0
 * @param error what the server says went wrong, or null
 */
public record Chunk(
    boolean hasChoices,
    String text,
    @Nullable String finishReason,
    int promptTokens,
    int completionTokens,
    @Nullable String error) {

  /**
   * Reads the data of an event, of either endpoint.
   *
   * @throws tools.jackson.core.JacksonException when it is not JSON
   */
  static Chunk parse(byte[] bytes, int offset, int length) {
    JsonNode event = JsonMapper.shared().readTree(bytes, offset, length);
    JsonNode choice = event.path("choices").path(0);
    JsonNode usage = event.path("usage");
    JsonNode text =
        choice.has("delta") ? choice.path("delta").path("content") : choice.path("text");
    return new Chunk(
        choice.isObject(),
        text.asString(""),
        choice.path("finish_reason").isString() ? choice.path("finish_reason").asString() : null,
        usage.path("prompt_tokens").asInt(0),
        usage.path("completion_tokens").asInt(0),
        event.has("error") ? errorMessage(event) : null);
  }

  /** The message of an error object, as OpenAI writes it or shorter. */
  static String errorMessage(JsonNode body) {
    JsonNode error = body.path("error");
    JsonNode message = error.isString() ? error : error.path("message");
    return message.isString() ? message.asString() : body.toString();
  }
}
