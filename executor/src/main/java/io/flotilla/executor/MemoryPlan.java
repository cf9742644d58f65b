package io.flotilla.executor;

import io.flotilla.model.CausalLm.Footprint;
import java.util.Locale;

/**
 * Where a rank's memory goes, in bytes.
 *
 * @param weights the rank's part as stored, used where it lies
 * @param model what the model allocates besides
 * @param stepInputs ids, positions, block tables and host copies of logits
 * @param kvBlock one block of the KV cache, all layers together
 * @param kvBlocks blocks of the KV cache
 */
public record MemoryPlan(
    long weights,
    Footprint model,
    long stepInputs,
    long kvBlock,
    int kvBlocks,
    ExecutorOptions options) {

  /**
   * Blocks of KV cache that fit a byte budget.
   *
   * @param kvBlock bytes of one block, all layers together
   * @throws IllegalArgumentException with the arithmetic, when not one sequence of the greatest
   *     length fits
   */
  static int fittingBlocks(ExecutorOptions options, long kvBlock) {
    long fitting = options.kvCacheBytes() / kvBlock;
    int needed = options.blocksPerSequence();
    if (fitting < needed) {
      String remedy =
          fitting == 0
              ? ""
              : " or --max-model-len to at most " + fitting * options.tokensPerBlock();
      throw new IllegalArgumentException(
          "one sequence of --max-model-len %d needs %d KV blocks of %d tokens, %d bytes each: %s; --kv-cache-memory-bytes %d holds %d blocks. Set --kv-cache-memory-bytes to at least %d%s"
              .formatted(
                  options.maxModelLength(),
                  needed,
                  options.tokensPerBlock(),
                  kvBlock,
                  size(needed * kvBlock),
                  options.kvCacheBytes(),
                  fitting,
                  needed * kvBlock,
                  remedy));
    }
    return (int) Math.min(fitting, Integer.MAX_VALUE / options.tokensPerBlock());
  }

  /** Bytes of the KV cache. */
  public long kvCache() {
    return kvBlock * kvBlocks;
  }

  /** Bytes of everything. */
  public long total() {
    return weights
        + model.widened()
        + model.activations()
        + model.logits()
        + stepInputs
        + kvCache();
  }

  /** The accounts, for the start-up log: one line a kind of memory. */
  public String describe() {
    long tokens = (long) kvBlocks * options.tokensPerBlock();
    return String.join(
        System.lineSeparator(),
        line("weights, as stored", weights),
        line("norms and biases in float32", model.widened()),
        line(
            "activations of %d tokens, rotations of %d positions"
                .formatted(options.maxBatchedTokens(), options.maxModelLength()),
            model.activations()),
        line("logits", model.logits()),
        line("step inputs", stepInputs),
        line(
            "KV cache, %d blocks of %d tokens: %d tokens, %.1f sequences of %d"
                .formatted(
                    kvBlocks,
                    options.tokensPerBlock(),
                    tokens,
                    (double) tokens / options.maxModelLength(),
                    options.maxModelLength()),
            kvCache()),
        line("total", total()));
  }

  private static String line(String what, long bytes) {
    return "%12s  %s".formatted(size(bytes), what);
  }

  private static String size(long bytes) {
    double mebibytes = bytes / (double) (1 << 20);
    return mebibytes < 1024
        ? String.format(Locale.ROOT, "%.1f MiB", mebibytes)
        : String.format(Locale.ROOT, "%.2f GiB", mebibytes / 1024);
  }
}
