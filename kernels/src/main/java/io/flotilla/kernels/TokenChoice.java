package io.flotilla.kernels;

import org.jspecify.annotations.Nullable;

/**
 * How a device chooses the token of one row. Ids outside the vocabulary have no effect.
 *
 * @param slot of the row's sequence
 * @param noiseKey of the seed, the choice and the token's index
 * @param temperature 0 takes the likeliest
 * @param least value of {@code (logit - largest) / temperature} that is kept
 * @param topK likeliest tokens that are kept; 0 keeps all
 * @param topP of the probability of what is left the likeliest are kept that reach it; 1 keeps all
 * @param penalties of tokens that the sequence has; null for none
 * @param edits biases of logits, then masked tokens
 * @param likeliest tokens whose log-probabilities are wanted with the chosen one's; -1 wants none
 */
public record TokenChoice(
    int slot,
    long noiseKey,
    float temperature,
    float least,
    int topK,
    float topP,
    @Nullable Penalties penalties,
    Edits edits,
    int likeliest) {
  /**
   * What lowers the logits of tokens that a sequence has: repetition first, then the others.
   *
   * @param tokens of the sequence so far, in its row of the histories
   * @param promptTokens of them the prompt's
   * @param repetition divides a positive logit, multiplies another
   * @param presence subtracted once from a token that was generated
   * @param frequency subtracted as often as it was
   */
  public record Penalties(
      int tokens, int promptTokens, float repetition, float presence, float frequency) {}

  /**
   * A row's part of the step's list of edits.
   *
   * @param first its first edit
   * @param biases edits that add to a logit
   * @param masked edits after these that mask a token
   */
  public record Edits(int first, int biases, int masked) {
    /** No edits. */
    public static final Edits NONE = new Edits(0, 0, 0);
  }

  /** Whether the order of several tokens matters, not only the likeliest. */
  public boolean sorts() {
    return topK > 0 || topP < 1 || likeliest >= 0;
  }

  /** Whether logits are changed before the choice. */
  public boolean adjusts() {
    return penalties != null || edits.biases > 0 || edits.masked > 0;
  }
}
