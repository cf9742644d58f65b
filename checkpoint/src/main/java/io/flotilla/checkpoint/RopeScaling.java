package io.flotilla.checkpoint;

import java.util.List;

/** How a model stretches its rotary positions beyond the length it was first trained on. */
public sealed interface RopeScaling {
  /** Positions are used as they are. */
  record None() implements RopeScaling {}

  /** Every position divided by {@code factor}. */
  record Linear(float factor) implements RopeScaling {}

  /** Llama 3.1: low frequencies divided by {@code factor}, high ones kept, a ramp between. */
  record Llama3(
      float factor, float lowFrequencyFactor, float highFrequencyFactor, int originalPositions)
      implements RopeScaling {}

  /**
   * YaRN (arXiv 2309.00071). {@code attentionFactor} multiplies cosines and sines; the reader has
   * already applied the default {@code 0.1 ln(factor) + 1} where the file names none.
   */
  record Yarn(
      float factor,
      float betaFast,
      float betaSlow,
      float attentionFactor,
      int originalPositions,
      boolean truncate)
      implements RopeScaling {}

  /**
   * Explicit divisors of each pair's frequency: how GGUF files of Llama 3.1 and later carry their
   * scaling (the tensor {@code rope_freqs.weight}).
   *
   * @param divisors one for each of the {@code headDim / 2} frequencies, fastest first; finite and
   *     positive
   */
  record Factors(List<Float> divisors) implements RopeScaling {
    public Factors {
      divisors = List.copyOf(divisors);
    }
  }
}
