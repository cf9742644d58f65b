package io.flotilla.model.layer;

import io.flotilla.checkpoint.ModelConfig;
import io.flotilla.checkpoint.RopeScaling;
import io.flotilla.kernels.RopeTable;
import io.flotilla.kernels.Tensor;
import io.flotilla.kernels.TensorType;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;

/**
 * The rotations of all positions, computed in float as transformers computes them ({@code
 * modeling_rope_utils.py}): frequencies are rounded to float before they meet a position.
 */
public final class RopeTables {
  private RopeTables() {}

  /** The table for positions {@code 0 .. positions - 1} of a model. */
  public static RopeTable load(ShardLoader loader, ModelConfig config, int positions) {
    float[] frequencies =
        inverseFrequencies(config.headDim(), config.ropeTheta(), config.ropeScaling());
    float scale = attentionFactor(config.ropeScaling());
    Tensor angles = Tensor.allocate(loader.device(), TensorType.F32, positions, config.headDim());
    loader.fill(angles, host -> fill(host, positions, frequencies, scale));
    return new RopeTable(angles, config.ropeInterleaved());
  }

  private static void fill(MemorySegment host, int positions, float[] frequencies, float scale) {
    int half = frequencies.length;
    for (int position = 0; position < positions; position++) {
      long row = (long) position * 2 * half;
      for (int i = 0; i < half; i++) {
        float angle = position * frequencies[i];
        host.setAtIndex(ValueLayout.JAVA_FLOAT, row + i, (float) Math.cos(angle) * scale);
        host.setAtIndex(ValueLayout.JAVA_FLOAT, row + half + i, (float) Math.sin(angle) * scale);
      }
    }
  }

  /** Radians a position turns each of the {@code headDim / 2} pairs by. */
  static float[] inverseFrequencies(int headDim, double theta, RopeScaling scaling) {
    float[] periods = new float[headDim / 2];
    for (int i = 0; i < periods.length; i++) {
      float exponent = (float) (2 * i) / headDim;
      periods[i] = (float) Math.pow((float) theta, exponent);
    }
    return switch (scaling) {
      case RopeScaling.None() -> divided(periods, 1f);
      case RopeScaling.Linear(float factor) -> divided(periods, factor);
      case RopeScaling.Llama3 llama3 -> llama3(periods, llama3);
      case RopeScaling.Yarn yarn -> yarn(periods, headDim, theta, yarn);
      case RopeScaling.Factors(List<Float> divisors) -> divided(periods, divisors);
    };
  }

  private static float attentionFactor(RopeScaling scaling) {
    return scaling instanceof RopeScaling.Yarn yarn ? yarn.attentionFactor() : 1f;
  }

  private static float[] divided(float[] periods, float factor) {
    float[] frequencies = new float[periods.length];
    for (int i = 0; i < periods.length; i++) {
      frequencies[i] = 1f / periods[i] / factor;
    }
    return frequencies;
  }

  private static float[] divided(float[] periods, List<Float> divisors) {
    float[] frequencies = divided(periods, 1f);
    for (int i = 0; i < frequencies.length; i++) {
      frequencies[i] /= divisors.get(i);
    }
    return frequencies;
  }

  private static float[] llama3(float[] periods, RopeScaling.Llama3 scaling) {
    float longest = scaling.originalPositions() / scaling.lowFrequencyFactor();
    float shortest = scaling.originalPositions() / scaling.highFrequencyFactor();
    float span = scaling.highFrequencyFactor() - scaling.lowFrequencyFactor();
    float[] frequencies = divided(periods, 1f);
    for (int i = 0; i < frequencies.length; i++) {
      float wavelength = (float) (2 * Math.PI) / frequencies[i];
      if (wavelength > longest) {
        frequencies[i] /= scaling.factor();
      } else if (wavelength >= shortest) {
        float smooth =
            (scaling.originalPositions() / wavelength - scaling.lowFrequencyFactor()) / span;
        frequencies[i] = (1 - smooth) * frequencies[i] / scaling.factor() + smooth * frequencies[i];
      }
    }
    return frequencies;
  }

  private static float[] yarn(
      float[] periods, int headDim, double theta, RopeScaling.Yarn scaling) {
    double low = correctionDimension(scaling.betaFast(), headDim, theta, scaling);
    double high = correctionDimension(scaling.betaSlow(), headDim, theta, scaling);
    if (scaling.truncate()) {
      low = Math.floor(low);
      high = Math.ceil(high);
    }
    low = Math.max(low, 0);
    high = Math.min(high, headDim - 1);
    if (low == high) {
      high += 0.001;
    }
    float[] frequencies = new float[periods.length];
    for (int i = 0; i < periods.length; i++) {
      float ramp = Math.clamp((i - (float) low) / (float) (high - low), 0f, 1f);
      float extrapolated = 1 - ramp;
      frequencies[i] =
          1f / (scaling.factor() * periods[i]) * (1 - extrapolated)
              + 1f / periods[i] * extrapolated;
    }
    return frequencies;
  }

  /** The pair that turns {@code rotations} times over the original context. */
  private static double correctionDimension(
      double rotations, int headDim, double theta, RopeScaling.Yarn scaling) {
    double turns = scaling.originalPositions() / (rotations * 2 * Math.PI);
    return headDim * Math.log(turns) / (2 * Math.log(theta));
  }
}
