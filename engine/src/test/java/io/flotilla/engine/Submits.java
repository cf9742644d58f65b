package io.flotilla.engine;

import io.flotilla.engine.EngineCommand.Submit;
import io.flotilla.model.sampling.SamplingParameters;
import java.util.List;
import java.util.Map;

/** Submissions for tests. */
final class Submits {
  private static final int[] NOTHING = {};

  private Submits() {}

  static SamplingParameters greedy() {
    return SamplingParameters.greedy();
  }

  static SamplingParameters sampling(long seed, List<Integer> stopTokens, int promptLogprobs) {
    return new SamplingParameters(
        0f, 0, 1f, 0f, 1f, 0f, 0f, Map.of(), seed, 0, 0, stopTokens, -1, promptLogprobs);
  }

  static Submit submit(long id, int[] prompt, int maxTokens, TokenSink sink) {
    return submit(id, prompt, NOTHING, greedy(), maxTokens, sink);
  }

  static Submit submit(
      long id,
      int[] prompt,
      int[] generated,
      SamplingParameters sampling,
      int maxTokens,
      TokenSink sink) {
    return new Submit(id, prompt, generated, sampling, maxTokens, "", sink);
  }

  /** A prompt of {@code length} tokens, different for each {@code first}. */
  static int[] prompt(int first, int length) {
    int[] prompt = new int[length];
    for (int i = 0; i < length; i++) {
      prompt[i] = (first + i) % FakeExecutor.VOCABULARY;
    }
    return prompt;
  }

  /** What the fake model generates, the given tokens first. */
  static List<Integer> expected(int[] prompt, SamplingParameters sampling, int maxTokens) {
    int[] context = java.util.Arrays.copyOf(prompt, prompt.length + maxTokens);
    List<Integer> output = new java.util.ArrayList<>();
    while (output.size() < maxTokens) {
      int length = prompt.length + output.size();
      int token = FakeExecutor.next(context, length, output.size(), sampling.seed());
      context[length] = token;
      output.add(token);
      if (sampling.stopTokens().contains(token)) {
        break;
      }
    }
    return output;
  }
}
