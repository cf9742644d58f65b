package io.flotilla.server.openai;

import java.util.List;
import org.jspecify.annotations.Nullable;

/** Understands the body of {@code /v1/chat/completions}, or refuses it. */
final class ChatParser {
  private ChatParser() {}

  static GenerationPlan parse(byte[] body, ServedModel served) {
    Fields fields = JsonBody.parse(body);
    String model = served.resolve(fields.text("model"));
    StreamFields stream = StreamFields.read(fields);
    Integer promptLogprobs = SamplingFields.logprobs(fields, "prompt_logprobs");
    CompletionParser.refuseStreamedScores(stream, promptLogprobs != null);
    Sampling sampling =
        new SamplingFields(fields, served)
            .read(logprobs(fields), promptLogprobs == null ? -1 : promptLogprobs);
    Integer older = fields.integer("max_tokens", 1, Integer.MAX_VALUE);
    Integer newer = fields.integer("max_completion_tokens", 1, Integer.MAX_VALUE);
    FieldRules.mustBe(fields, "echo", false, "the answer alone is sent");
    Conversation conversation = Conversation.read(fields);
    FieldRules.apply(fields);
    int[] prompt = conversation.encode(served);
    int maxTokens =
        ContextLength.maxTokens(
            served,
            prompt.length,
            newer == null ? "max_tokens" : "max_completion_tokens",
            newer == null ? older : newer,
            Integer.MAX_VALUE);
    ContextLength.checkMinTokens(sampling, maxTokens);
    return new GenerationPlan(
        model,
        List.of(prompt),
        List.of(maxTokens),
        sampling,
        stream,
        false,
        promptLogprobs != null);
  }

  private static int logprobs(Fields fields) {
    boolean wanted = fields.flag("logprobs", false);
    @Nullable Integer top = SamplingFields.logprobs(fields, "top_logprobs");
    if (top != null && top > 0 && !wanted) {
      throw RefusedException.field(
          "top_logprobs", "top_logprobs needs logprobs to be true; set it or leave this out");
    }
    if (!wanted) {
      return -1;
    }
    return top == null ? 0 : top;
  }
}
