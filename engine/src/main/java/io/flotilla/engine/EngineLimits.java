package io.flotilla.engine;

/**
 * What one engine takes on.
 *
 * @param maxModelLength tokens of prompt and output of one sequence at most; fewer when the KV
 *     cache holds fewer
 * @param maxSequences sequences that run at once
 * @param maxBatchedTokens tokens a step computes
 * @param maxWaiting sequences held besides {@code maxSequences}; more are refused
 * @param prefixCaching whether sequences share the KV blocks of equal prefixes
 */
public record EngineLimits(
    int maxModelLength,
    int maxSequences,
    int maxBatchedTokens,
    int maxWaiting,
    boolean prefixCaching) {
  /**
   * @throws IllegalArgumentException naming the flag, when a value cannot be honoured
   */
  public EngineLimits {
    requireAtLeast("--max-model-len", maxModelLength, 2);
    requireAtLeast("--max-num-seqs", maxSequences, 1);
    requireAtLeast("--max-waiting", maxWaiting, 0);
    if (maxBatchedTokens < maxSequences) {
      throw new IllegalArgumentException(
          "--max-num-batched-tokens %d is less than --max-num-seqs %d: a step computes at least one token for each sequence"
              .formatted(maxBatchedTokens, maxSequences));
    }
  }

  private static void requireAtLeast(String flag, int value, int least) {
    if (value < least) {
      throw new IllegalArgumentException(flag + " is " + value + "; it must be at least " + least);
    }
  }
}
