package io.flotilla.executor;

import io.flotilla.model.sampling.SamplingParameters;
import java.util.List;
import java.util.Map;
import java.util.random.RandomGenerator;

/** Sampling parameters of tests. */
final class Samplings {
  private Samplings() {}

  /** Greedy choice. */
  static SamplingParameters greedy(int logprobs, int promptLogprobs) {
    return new SamplingParameters(
        0f, 0, 1f, 0f, 1f, 0f, 0f, Map.of(), 0, 0, 0, List.of(), logprobs, promptLogprobs);
  }

  /** Greedy or not, with penalties or without. */
  static SamplingParameters random(RandomGenerator random, int logprobs, int promptLogprobs) {
    boolean penalties = random.nextInt(3) == 0;
    return new SamplingParameters(
        random.nextBoolean() ? 0f : 0.5f + random.nextFloat(),
        random.nextBoolean() ? 0 : 1 + random.nextInt(30),
        random.nextBoolean() ? 1f : 0.5f + random.nextFloat() / 2,
        random.nextBoolean() ? 0f : random.nextFloat() / 10,
        penalties ? 1.3f : 1f,
        penalties ? 0.4f : 0f,
        penalties ? 0.2f : 0f,
        Map.of(),
        random.nextLong(),
        random.nextInt(3),
        0,
        List.of(),
        logprobs,
        promptLogprobs);
  }
}
