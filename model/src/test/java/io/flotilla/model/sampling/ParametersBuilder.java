package io.flotilla.model.sampling;

import java.util.List;
import java.util.Map;

/** Sampling parameters that start greedy. */
final class ParametersBuilder {
  private float temperature;
  private int topK;
  private float topP = 1;
  private float minP;
  private float repetition = 1;
  private float presence;
  private float frequency;
  private Map<Integer, Float> bias = Map.of();
  private long seed;
  private int choice;
  private int minTokens;
  private List<Integer> stopTokens = List.of();

  ParametersBuilder temperature(float value) {
    temperature = value;
    return this;
  }

  ParametersBuilder topK(int value) {
    topK = value;
    return this;
  }

  ParametersBuilder topP(float value) {
    topP = value;
    return this;
  }

  ParametersBuilder minP(float value) {
    minP = value;
    return this;
  }

  ParametersBuilder repetition(float value) {
    repetition = value;
    return this;
  }

  ParametersBuilder presence(float value) {
    presence = value;
    return this;
  }

  ParametersBuilder frequency(float value) {
    frequency = value;
    return this;
  }

  ParametersBuilder bias(Map<Integer, Float> value) {
    bias = value;
    return this;
  }

  ParametersBuilder seed(long value) {
    seed = value;
    return this;
  }

  ParametersBuilder choice(int value) {
    choice = value;
    return this;
  }

  ParametersBuilder minTokens(int value, List<Integer> stops) {
    minTokens = value;
    stopTokens = stops;
    return this;
  }

  SamplingParameters build() {
    return new SamplingParameters(
        temperature,
        topK,
        topP,
        minP,
        repetition,
        presence,
        frequency,
        bias,
        seed,
        choice,
        minTokens,
        stopTokens,
        -1,
        -1);
  }
}
