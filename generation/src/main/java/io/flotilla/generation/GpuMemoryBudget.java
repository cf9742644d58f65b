package io.flotilla.generation;

import io.flotilla.checkpoint.ModelConfig;
import io.flotilla.kernels.DeviceMemory;
import java.util.Locale;

/**
 * What a model needs of a GPU's memory besides its KV cache, in bytes; the cache gets the rest of
 * the share that {@code --gpu-memory-utilization} allows.
 *
 * @param utilization of the GPU's whole memory, from 0 to 1
 * @param weights in bf16
 * @param activations of the largest step, and the table of rotations
 * @param inputs ids, positions and block tables
 * @param logits of the rows that are scored at once
 */
record GpuMemoryBudget(
    double utilization, long weights, long activations, long inputs, long logits) {
  /** Workspaces of libraries, partial sums of attention, recorded steps, allocator slack. */
  private static final long RESERVE = 768L << 20;

  private static final int BF16 = 2;
  private static final int F32 = 4;
  private static final long LOGITS = 208L << 20;

  /** The needs of a model with these options. */
  static GpuMemoryBudget of(ModelConfig config, EngineOptions options, int length) {
    long hidden = config.hiddenSize();
    long queries = (long) config.heads() * config.headDim();
    long qkv = queries + 2L * config.kvHeads() * config.headDim();
    long intermediate = config.intermediateSize();
    long layer = hidden * (qkv + queries + 3 * intermediate);
    long vocabulary = hidden * config.vocabularySize() * (config.tiedEmbeddings() ? 1 : 2);
    long row =
        F32 * hidden
            + BF16
                * (2 * hidden + Math.max(qkv, 2 * intermediate) + Math.max(queries, intermediate));
    long tables =
        (long) options.maxSequences() * (Math.ceilDiv(length, options.blockSize()) + length) * F32;
    return new GpuMemoryBudget(
        options.gpuMemoryUtilization(),
        BF16 * (config.layers() * layer + vocabulary),
        options.maxBatchedTokens() * row + (long) length * config.headDim() * F32,
        4L * F32 * options.maxBatchedTokens() + tables,
        LOGITS + 4L * F32 * config.vocabularySize());
  }

  /**
   * What is left for the KV cache.
   *
   * @throws IllegalArgumentException with the arithmetic, when nothing is
   */
  long kvCacheBytes(DeviceMemory memory) {
    long usable = (long) (utilization * memory.total());
    long taken = memory.total() - memory.free();
    long left = usable - taken - weights - activations - inputs - logits - RESERVE;
    if (left <= 0) {
      throw new IllegalArgumentException(
          "--gpu-memory-utilization %.2f of %s allows %s; in use already %s, weights %s, activations %s, step inputs %s, logits %s, reserve %s: %s too little for any KV cache. Use a larger GPU or a smaller model, or lower --max-num-batched-tokens"
              .formatted(
                  utilization,
                  size(memory.total()),
                  size(usable),
                  size(taken),
                  size(weights),
                  size(activations),
                  size(inputs),
                  size(logits),
                  size(RESERVE),
                  size(-left)));
    }
    return left;
  }

  private static String size(long bytes) {
    return String.format(Locale.ROOT, "%.2f GiB", bytes / (double) (1 << 30));
  }
}
