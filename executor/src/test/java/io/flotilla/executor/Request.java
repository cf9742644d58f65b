package io.flotilla.executor;

import io.flotilla.model.sampling.SamplingParameters;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.random.RandomGenerator;

/** A prompt and what to make of it. */
record Request(int[] prompt, int outputs, SamplingParameters sampling) {
  /** Tokens of the prompt and of all outputs but the last, whose keys nobody needs. */
  int length() {
    return prompt.length + outputs - 1;
  }

  /**
   * Requests of which many begin alike.
   *
   * @param logprobs likeliest tokens to compare at each position
   */
  static List<Request> random(
      RandomGenerator random, int count, int vocabulary, int longest, int outputs, int logprobs) {
    List<int[]> stems = new ArrayList<>();
    for (int i = 0; i < 3; i++) {
      stems.add(random.ints(longest, 0, vocabulary).toArray());
    }
    List<Request> requests = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      int[] prompt = Arrays.copyOf(stems.get(random.nextInt(3)), 1 + random.nextInt(longest));
      for (int own = random.nextInt(prompt.length + 1); own < prompt.length; own++) {
        prompt[own] = random.nextInt(vocabulary);
      }
      int promptLogprobs = random.nextBoolean() ? -1 : logprobs;
      requests.add(
          new Request(
              prompt,
              1 + random.nextInt(outputs),
              Samplings.random(random, logprobs, promptLogprobs)));
    }
    return requests;
  }
}
