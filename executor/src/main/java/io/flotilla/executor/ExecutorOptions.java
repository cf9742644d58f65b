package io.flotilla.executor;

import java.util.List;

/**
 * How a replica's ranks are laid out and sized.
 *
 * @param maxModelLength tokens of prompt and output of one sequence
 * @param maxSequences sequences that may hold a slot at once
 * @param maxBatchedTokens tokens a step computes at most
 * @param kvCacheBytes memory of the KV cache of each rank
 * @param blockSize tokens of a KV block on one rank
 * @param pipelineLayers layers of each pipeline stage; empty to balance them
 */
public record ExecutorOptions(
    Topology topology,
    int maxModelLength,
    int maxSequences,
    int maxBatchedTokens,
    long kvCacheBytes,
    int blockSize,
    List<Integer> pipelineLayers) {
  /** Options with balanced pipeline stages. */
  public ExecutorOptions(
      Topology topology,
      int maxModelLength,
      int maxSequences,
      int maxBatchedTokens,
      long kvCacheBytes,
      int blockSize) {
    this(
        topology,
        maxModelLength,
        maxSequences,
        maxBatchedTokens,
        kvCacheBytes,
        blockSize,
        List.of());
  }

  /**
   * @throws IllegalArgumentException naming the flag, when a value cannot be honoured
   */
  public ExecutorOptions {
    requireOne("--data-parallel-size", topology.data());
    requirePositive("--max-model-len", maxModelLength);
    requirePositive("--max-num-seqs", maxSequences);
    requirePositive("--max-num-batched-tokens", maxBatchedTokens);
    requirePositive("--kv-cache-memory-bytes", kvCacheBytes);
    requirePositive("--block-size", blockSize);
    pipelineLayers = List.copyOf(pipelineLayers);
  }

  /** These options with another greatest length. */
  ExecutorOptions withMaxModelLength(int tokens) {
    return new ExecutorOptions(
        topology, tokens, maxSequences, maxBatchedTokens, kvCacheBytes, blockSize, pipelineLayers);
  }

  /** Tokens a KV block holds, all ranks together that hold its tokens between them. */
  public int tokensPerBlock() {
    return Math.multiplyExact(blockSize, topology.decodeContext());
  }

  /** Blocks that one sequence of the greatest length needs. */
  public int blocksPerSequence() {
    return Math.ceilDiv(maxModelLength, tokensPerBlock());
  }

  /** Steps worth having in flight: one for each stage and one that waits. */
  public int stepsInFlight() {
    return topology.pipeline() + 1;
  }

  private static void requireOne(String flag, int degree) {
    if (degree != 1) {
      throw new IllegalArgumentException(
          flag + " " + degree + " is not supported by this version; leave it at 1");
    }
  }

  private static void requirePositive(String flag, long value) {
    if (value <= 0) {
      throw new IllegalArgumentException(flag + " is " + value + "; it must be positive");
    }
  }
}
