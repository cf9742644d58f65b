package io.flotilla.server.openai;

import java.util.ArrayList;
import java.util.List;
import tools.jackson.databind.JsonNode;

/** Understands the body of {@code /v1/completions}, or refuses it. */
final class CompletionParser {
  private static final int DEFAULT_MAX_TOKENS = 16;

  private CompletionParser() {}

  static GenerationPlan parse(byte[] body, ServedModel served) {
    Fields fields = JsonBody.parse(body);
    String model = served.resolve(fields.text("model"));
    StreamFields stream = StreamFields.read(fields);
    Integer logprobs = SamplingFields.logprobs(fields, "logprobs");
    Integer promptLogprobs = SamplingFields.logprobs(fields, "prompt_logprobs");
    boolean echo = fields.flag("echo", false);
    refuseStreamedScores(stream, promptLogprobs != null);
    int scored = promptLogprobs == null ? -1 : promptLogprobs;
    if (echo && logprobs != null) {
      scored = Math.max(scored, logprobs);
    }
    Sampling sampling =
        new SamplingFields(fields, served).read(logprobs == null ? -1 : logprobs, scored);
    Integer requested = fields.integer("max_tokens", 1, Integer.MAX_VALUE);
    boolean addSpecialTokens = fields.flag("add_special_tokens", true);
    JsonNode prompt = fields.take("prompt");
    FieldRules.apply(fields);
    if (prompt == null) {
      throw RefusedException.field(
          "prompt", "prompt is missing; give a string, token ids, or a list of those");
    }
    List<int[]> prompts = Prompts.read(prompt, served, addSpecialTokens);
    List<Integer> maxTokens = new ArrayList<>();
    for (int[] ids : prompts) {
      maxTokens.add(
          ContextLength.maxTokens(served, ids.length, "max_tokens", requested, DEFAULT_MAX_TOKENS));
      ContextLength.checkMinTokens(sampling, maxTokens.getLast());
    }
    return new GenerationPlan(
        model, prompts, maxTokens, sampling, stream, echo, promptLogprobs != null);
  }

  static void refuseStreamedScores(StreamFields stream, boolean scores) {
    if (stream.stream() && scores) {
      throw RefusedException.field(
          "prompt_logprobs", "prompt_logprobs cannot be streamed; set stream to false");
    }
  }
}
