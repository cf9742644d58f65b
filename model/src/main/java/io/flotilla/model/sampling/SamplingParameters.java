package io.flotilla.model.sampling;

import java.util.List;
import java.util.Map;

/**
 * How the next token of one sequence is chosen.
 *
 * @param temperature 0 is greedy
 * @param topK keep the {@code topK} likeliest; 0 keeps all
 * @param topP keep the smallest set whose probability reaches this; 1 keeps all
 * @param minP drop what is less likely than this times the likeliest; 0 keeps all
 * @param repetitionPenalty divides positive and multiplies negative logits of tokens seen in prompt
 *     or output (arXiv 1909.05858); 1 is off
 * @param presencePenalty subtracted once from the logit of a token already generated
 * @param frequencyPenalty subtracted as often as the token was generated
 * @param logitBias added to the logits of these ids
 * @param seed keys the noise together with {@code choice} and the token's index
 * @param choice index among the {@code n} choices of one request
 * @param minTokens {@code stopTokens} are not sampled before this many tokens were generated
 * @param stopTokens end-of-sequence ids and the request's own stop ids
 * @param logprobs log-probabilities to return with each token: -1 none, 0 the token's own, k > 0
 *     also the k likeliest
 * @param promptLogprobs the same for each token of the prompt but the first
 */
public record SamplingParameters(
    float temperature,
    int topK,
    float topP,
    float minP,
    float repetitionPenalty,
    float presencePenalty,
    float frequencyPenalty,
    Map<Integer, Float> logitBias,
    long seed,
    int choice,
    int minTokens,
    List<Integer> stopTokens,
    int logprobs,
    int promptLogprobs) {
  public SamplingParameters {
    logitBias = Map.copyOf(logitBias);
    stopTokens = List.copyOf(stopTokens);
  }

  /** Greedy choice, no penalties, no log-probabilities, nothing stopped. */
  public static SamplingParameters greedy() {
    return new SamplingParameters(0f, 0, 1f, 0f, 1f, 0f, 0f, Map.of(), 0L, 0, 0, List.of(), -1, -1);
  }
}
