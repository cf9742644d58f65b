package io.flotilla.server.openai;

import org.jspecify.annotations.Nullable;

/** Holds prompts and what they ask for to the model's context. */
final class ContextLength {
  private ContextLength() {}

  /**
   * Tokens to generate at most.
   *
   * @param field what asked for them
   * @param requested or null
   * @param unset where nothing was requested and there is room for it
   * @throws RefusedException when they do not fit behind the prompt
   */
  static int maxTokens(
      ServedModel served, int promptTokens, String field, @Nullable Integer requested, int unset) {
    int context = served.model().maxModelLength();
    if (promptTokens >= context) {
      throw new RefusedException(
          OpenAiError.tooLong(
              null,
              "the prompt has "
                  + promptTokens
                  + " tokens and the model's context length is "
                  + context
                  + ", the answer included; shorten the prompt"));
    }
    int room = context - promptTokens;
    if (requested != null && requested > room) {
      throw new RefusedException(
          OpenAiError.tooLong(
              field,
              "the prompt has "
                  + promptTokens
                  + " tokens and "
                  + field
                  + " is "
                  + requested
                  + ", together more than the model's context length of "
                  + context
                  + "; set "
                  + field
                  + " to at most "
                  + room
                  + " or shorten the prompt"));
    }
    return requested == null ? Math.min(unset, room) : requested;
  }

  /**
   * @throws RefusedException when a choice could never reach its least length
   */
  static void checkMinTokens(Sampling sampling, int maxTokens) {
    int minTokens = sampling.parameters().minTokens();
    if (minTokens > maxTokens) {
      throw RefusedException.field(
          "min_tokens",
          "min_tokens is "
              + minTokens
              + ", more than the "
              + maxTokens
              + " tokens generated at most; lower it or raise max_tokens");
    }
  }
}
