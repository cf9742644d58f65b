package io.flotilla.generation;

import io.flotilla.checkpoint.ExpertConfig;
import io.flotilla.checkpoint.ModelConfig;
import io.flotilla.executor.Layout;
import io.flotilla.kernels.AttentionShape;
import io.flotilla.kernels.DeviceMemory;
import io.flotilla.model.StageSlice;
import io.flotilla.model.layer.SelfAttention;
import io.flotilla.model.layer.TensorParallel;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/**
 * What a rank needs of a GPU's memory besides its KV cache, in bytes; the cache gets the rest of
 * the share that {@code --gpu-memory-utilization} allows.
 *
 * @param utilization of the GPU's whole memory, from 0 to 1
 * @param weights in bf16
 * @param activations of the largest step, what ranks exchange of it, and the table of rotations
 * @param inputs ids, positions and block tables
 * @param logits of the rows that are scored at once, and what ranks give each other of those rows
 */
record GpuMemoryBudget(
    double utilization, long weights, long activations, long inputs, long logits) {
  /** Workspaces of libraries, partial sums of attention, recorded steps, allocator slack. */
  private static final long RESERVE = 768L << 20;

  private static final int BF16 = 2;
  private static final int F32 = 4;
  private static final long LOGITS = 208L << 20;

  /** Of a pair of a row and an expert: who it is and where it stands. */
  private static final int PAIR_BYTES = 28;

  /** The needs of the rank with the most layers. */
  static GpuMemoryBudget of(ModelConfig config, EngineOptions options, Layout layout, int length) {
    int rows = options.maxBatchedTokens();
    boolean whole = options.topology().expertParallel();
    long row =
        rowBytes(config, layout)
            + exchangedRowBytes(config, layout)
            + spreadRowBytes(config, layout, whole);
    long tables =
        (long) options.maxSequences() * (Math.ceilDiv(length, options.blockSize()) + length) * F32;
    return new GpuMemoryBudget(
        options.gpuMemoryUtilization(),
        weights(config, layout, whole),
        rows * row + (long) length * config.headDim() * F32,
        4L * F32 * rows + tables,
        LOGITS + 4L * F32 * config.vocabularySize() + collectedBytes(config, options, layout));
  }

  /**
   * Rows that get logits, where ranks share out a step's: for the device's choices and the host's.
   */
  private static long collectedBytes(ModelConfig config, EngineOptions options, Layout layout) {
    long context = layout.prefillContext();
    long row = F32 + context * (F32 + BF16);
    return context == 1 ? 0 : 2L * options.maxSequences() * config.hiddenSize() * row;
  }

  /**
   * @param whole whether ranks have whole experts
   */
  private static long weights(ModelConfig config, Layout layout, boolean whole) {
    long hidden = config.hiddenSize();
    AttentionShape attention = SelfAttention.shape(config, new TensorParallel(0, layout.tensor()));
    long vocabulary = Math.ceilDiv(hidden * config.vocabularySize(), layout.tensor());
    long most = 0;
    for (StageSlice stage : layout.stages()) {
      boolean table = stage.embedding() || (stage.head() && config.tiedEmbeddings());
      long elements = table ? vocabulary : 0;
      elements += stage.head() && !config.tiedEmbeddings() ? vocabulary : 0;
      for (int layer = stage.firstLayer(); layer < stage.endLayer(); layer++) {
        elements += hidden * (attention.qkvColumns() + attention.queryColumns());
        elements +=
            feedForward(config, config.experts(layer), expertRanks(layout, whole), layout.tensor());
      }
      most = Math.max(most, elements);
    }
    return BF16 * most;
  }

  /** Ranks that have the experts of a layer between them. */
  private static int expertRanks(Layout layout, boolean whole) {
    return layout.tensor() * (whole ? layout.prefillContext() : 1);
  }

  private static long feedForward(
      ModelConfig config, @Nullable ExpertConfig experts, int expertRanks, int tensor) {
    long hidden = config.hiddenSize();
    if (experts == null) {
      return 3L * hidden * config.intermediateSize() / tensor;
    }
    long matrices = 3L * experts.count() * experts.intermediateSize() / expertRanks;
    return hidden * (matrices + experts.count());
  }

  /** What a mixture of experts keeps of a row and one of its experts. */
  static long pairBytes(long hidden, long intermediate) {
    return BF16 * (hidden + intermediate) + PAIR_BYTES;
  }

  /** Activations of a row. */
  private static long rowBytes(ModelConfig config, Layout layout) {
    long hidden = config.hiddenSize();
    AttentionShape attention = SelfAttention.shape(config, new TensorParallel(0, layout.tensor()));
    ExpertConfig experts = config.experts();
    long intermediate = config.intermediateSize() / layout.tensor();
    long mixture = 0;
    if (experts != null) {
      intermediate = Math.max(intermediate, experts.intermediateSize());
      mixture =
          (long) F32 * experts.count()
              + experts.perToken() * pairBytes(hidden, experts.intermediateSize());
    }
    return F32 * hidden
        + BF16
            * (2 * hidden
                + Math.max(attention.qkvColumns(), 2 * intermediate)
                + Math.max(attention.queryColumns(), intermediate))
        + mixture;
  }

  /** What ranks of a layer show each other, twice, and stages have on their way. */
  private static long exchangedRowBytes(ModelConfig config, Layout layout) {
    long hidden = config.hiddenSize();
    int stages = layout.stages().size();
    long shown = layout.tensor() > 1 ? 2 * F32 * hidden : 0;
    long underWay = stages > 1 ? (stages + 2L) * (F32 + BF16) * hidden : 0;
    return shown + underWay;
  }

  /**
   * What ranks give each other of a row that have other rows or other tokens, each exchange with
   * two copies that are shown.
   */
  private static long spreadRowBytes(ModelConfig config, Layout layout, boolean whole) {
    AttentionShape attention = SelfAttention.shape(config, new TensorParallel(0, layout.tensor()));
    int context = layout.prefillContext();
    long tokens = layout.decodeContext();
    long bytes = 0;
    if (tokens > 1) {
      long queries = attention.queryColumns();
      bytes +=
          BF16 * (1 + tokens) * queries + 4L * F32 * tokens * (queries + 2L * attention.heads());
    }
    if (context > 1) {
      bytes += (long) BF16 * (3 + context) * attention.keyValueColumns();
    }
    ExpertConfig experts = config.experts();
    if (context > 1 && experts != null && whole) {
      long hidden = (long) BF16 * config.hiddenSize();
      long routed = hidden + F32 * (experts.count() + 8L);
      bytes += (3L * Math.min(context, experts.perToken()) + 1) * routed + 3 * hidden;
    }
    return bytes;
  }

  /**
   * What is left for the KV cache of a rank.
   *
   * @param ranks that share the GPU
   * @throws IllegalArgumentException with the arithmetic, when nothing is
   */
  long kvCacheBytes(DeviceMemory memory, int ranks) {
    long usable = (long) (utilization * memory.total()) / ranks;
    long taken = (memory.total() - memory.free()) / ranks;
    long left = usable - taken - weights - activations - inputs - logits - RESERVE;
    if (left <= 0) {
      throw new IllegalArgumentException(
          "--gpu-memory-utilization %.2f of %s allows a rank %s; in use already %s, weights %s, activations %s, step inputs %s, logits %s, reserve %s: %s too little for any KV cache. Use a larger GPU or a smaller model, or lower --max-num-batched-tokens"
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

  /**
   * What is left for the KV cache of a rank that is planned.
   *
   * @param besides bytes of everything else
   * @throws IllegalArgumentException with the arithmetic, when nothing is
   */
  static long left(double utilization, DeviceMemory memory, long besides) {
    long left = (long) (utilization * memory.total()) - besides - RESERVE;
    if (left <= 0) {
      throw new IllegalArgumentException(
          "--gpu-memory-utilization %.2f of %s is %s too little for %s of weights and activations and a reserve of %s"
              .formatted(
                  utilization, size(memory.total()), size(-left), size(besides), size(RESERVE)));
    }
    return left;
  }

  private static String size(long bytes) {
    return String.format(Locale.ROOT, "%.2f GiB", bytes / (double) (1 << 30));
  }
}
