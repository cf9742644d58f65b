package io.flotilla.kernels.cuda;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.flotilla.kernels.AttentionBatch;
import io.flotilla.kernels.AttentionShape;
import io.flotilla.kernels.KvCache;
import io.flotilla.kernels.Tensor;
import java.lang.foreign.MemorySegment;

/**
 * Launches attention: one kernel for the sequences of one row, one for those of several. Which a
 * sequence is, the kernels read on the device; the host only knows whether there can be any.
 */
final class CudaAttention {
  static final int PAGE = 16;
  private static final int PREFILL_TILE = 64;
  private static final int THREADS = 128;
  private static final int DECODE_WARPS = 4;
  private static final int DECODE_STAGES = 3;
  private static final int MOST_SPLITS = 64;
  private static final int BLOCKS_PER_MULTIPROCESSOR = 2;
  private static final int LEAST_SPLITS = 2;
  private static final int LEAST_PAGES = 4;
  private static final int LEAST_PAGES_WHERE_FULL = 64;
  private static final int HOPPER_TILE = 128;
  private static final int HOPPER_DIM = 128;
  private static final int SHORT_PROMPT = 384;
  private static final int AFTER_OTHER = 0;
  private static final int AFTER_PROMPTS = 1;
  private static final int AFTER_ROTATION = 2;

  private final Launcher launcher;
  private final CudaDevice device;
  private final int multiprocessors;
  private final boolean hopper;
  private long partial;
  private long partialBytes;
  private long arrived;
  private long arrivedBytes;

  /**
   * @param hopper whether the kernels for compute capability 9.0 run
   */
  CudaAttention(Launcher launcher, CudaDevice device, int multiprocessors, boolean hopper) {
    this.launcher = launcher;
    this.device = device;
    this.multiprocessors = multiprocessors;
    this.hopper = hopper;
  }

  /**
   * Allocates what splits are merged through, which grows no more for that many sequences.
   *
   * @return bytes it takes
   */
  long reserve(AttentionShape shape, int sequences) {
    long bytes = 0;
    for (int count = 1; count <= sequences; count++) {
      bytes = Math.max(bytes, partialBytes(shape, count));
    }
    long counters = 4L * sequences * blocksOfHeads(shape);
    if (bytes > partialBytes) {
      partial = CudaBuffer.address(device.allocate(bytes));
      partialBytes = bytes;
    }
    if (counters > arrivedBytes) {
      arrived = CudaBuffer.address(device.allocate(counters));
      arrivedBytes = counters;
    }
    return partialBytes + arrivedBytes;
  }

  /** Attention, of all tokens or of those that a rank holds. */
  private record Call(
      long stream,
      Tensor queries,
      KvCache cache,
      AttentionShape shape,
      AttentionBatch batch,
      float scale,
      boolean spread,
      Tensor out) {
    boolean hasPrompts() {
      return batch.rows() > batch.sequences();
    }
  }

  /** See {@link io.flotilla.kernels.Ops#attention}. */
  void attend(
      long stream, Tensor queries, KvCache cache, AttentionBatch batch, float scale, Tensor out) {
    attend(new Call(stream, queries, cache, cache.shape(), batch, scale, false, out));
  }

  /** See {@link io.flotilla.kernels.Ops#attentionPart}. */
  void attendPart(
      long stream, Tensor queries, KvCache cache, AttentionBatch batch, float scale, Tensor out) {
    AttentionShape shape = cache.shape();
    // The heads of all ranks share the one key-value head.
    AttentionShape joined =
        new AttentionShape(cache.parts() * shape.heads(), shape.kvHeads(), shape.headDim());
    attend(new Call(stream, queries, cache, joined, batch, scale, true, out));
  }

  private void attend(Call call) {
    if (call.batch.rows() == 0) {
      return;
    }
    if (call.hasPrompts()) {
      prefill(call);
    }
    if (!call.hasPrompts() || call.batch.sequences() > 1) {
      reserve(call.shape, call.batch.sequences());
      decode(call);
    }
  }

  private void decode(Call call) {
    AttentionShape shape = call.shape;
    int sequences = call.batch.sequences();
    MemorySegment arguments = launcher.struct();
    addresses(arguments, call);
    arguments.set(JAVA_INT, 60, shape.heads());
    arguments.set(JAVA_INT, 64, shape.kvHeads());
    arguments.set(JAVA_INT, 68, call.cache.blockSize());
    arguments.set(JAVA_FLOAT, 72, call.scale);
    arguments.set(JAVA_LONG, 80, CudaBuffer.address(call.out));
    arguments.set(JAVA_LONG, 88, call.out.stride());
    arguments.set(JAVA_LONG, 96, partial);
    arguments.set(JAVA_LONG, 104, arrived);
    boolean fills = sequences * blocksOfHeads(shape) >= 2 * multiprocessors;
    arguments.set(JAVA_INT, 112, fills ? LEAST_PAGES_WHERE_FULL : LEAST_PAGES);
    arguments.set(JAVA_INT, 116, before(call));
    spread(arguments, 120, call);
    int shared = DECODE_WARPS * DECODE_STAGES * 2 * PAGE * shape.headDim() * 2;
    launcher.launch(
        (call.spread ? "decode_spread_" : "decode_attention_") + shape.headDim(),
        new Launcher.Grid(
            splits(shape, sequences), blocksOfHeads(shape), sequences, THREADS, shared),
        call.stream);
  }

  /** The kernel before, as decode_attention.cuh numbers those that matter. */
  private int before(Call call) {
    if (call.hasPrompts()) {
      return AFTER_PROMPTS;
    }
    return launcher.follows(CudaOps.ROTATE) && !call.spread ? AFTER_ROTATION : AFTER_OTHER;
  }

  private void prefill(Call call) {
    AttentionShape shape = call.shape;
    AttentionBatch batch = call.batch;
    MemorySegment arguments = launcher.struct();
    addresses(arguments, call);
    arguments.set(JAVA_INT, 60, batch.sequences());
    arguments.set(JAVA_INT, 64, shape.heads());
    arguments.set(JAVA_INT, 68, shape.kvHeads());
    arguments.set(JAVA_INT, 72, call.cache.blockSize());
    arguments.set(JAVA_FLOAT, 76, call.scale);
    arguments.set(JAVA_LONG, 80, CudaBuffer.address(call.out));
    arguments.set(JAVA_LONG, 88, call.out.stride());
    spread(arguments, 96, call);
    boolean warpgroups = hopper && !call.spread && shape.headDim() == HOPPER_DIM && !isShort(batch);
    int tile = warpgroups ? HOPPER_TILE : PREFILL_TILE;
    // Blocks that find no tile cost as much as a small one's work, and most sequences are decoded.
    int tiles = Math.ceilDiv(batch.rows(), tile) + batch.prompts();
    // The queries, and two tiles each of keys and values.
    int shared = 5 * tile * shape.headDim() * 2;
    String kernel =
        call.spread
            ? "prefill_spread_"
            : warpgroups ? "prefill_attention_hopper_" : "prefill_attention_";
    launcher.launch(
        kernel + shape.headDim(),
        new Launcher.Grid(shape.heads(), tiles, 1, warpgroups ? 2 * THREADS : THREADS, shared),
        call.stream);
  }

  /** As {@code Spread} of attention.cuh. */
  private static void spread(MemorySegment arguments, long at, Call call) {
    int parts = call.cache.parts();
    arguments.set(JAVA_LONG, at, CudaBuffer.address(call.out));
    arguments.set(JAVA_LONG, at + 8, call.out.stride());
    arguments.set(JAVA_INT, at + 16, call.cache.part());
    arguments.set(JAVA_INT, at + 20, parts);
    arguments.set(JAVA_INT, at + 24, call.batch.rows());
    arguments.set(JAVA_INT, at + 28, call.shape.heads() / parts);
  }

  /**
   * Whether prompts are so short on the average that small tiles, of which a multiprocessor has
   * several at once, are faster.
   */
  private static boolean isShort(AttentionBatch batch) {
    return batch.rows() - batch.sequences() <= (long) SHORT_PROMPT * batch.prompts();
  }

  /** What both kernels' arguments begin with. */
  private static void addresses(MemorySegment arguments, Call call) {
    Tensor tables = call.batch.blockTables();
    arguments.set(JAVA_LONG, 0, CudaBuffer.address(call.queries));
    arguments.set(JAVA_LONG, 8, call.queries.stride());
    arguments.set(JAVA_LONG, 16, CudaBuffer.address(call.cache.keys()));
    arguments.set(JAVA_LONG, 24, CudaBuffer.address(call.cache.values()));
    arguments.set(JAVA_LONG, 32, CudaBuffer.address(call.batch.positions()));
    arguments.set(JAVA_LONG, 40, CudaBuffer.address(call.batch.firstRows()));
    arguments.set(JAVA_LONG, 48, CudaBuffer.address(tables));
    arguments.set(JAVA_INT, 56, tables.stride());
  }

  /** Parts a context is split into at most, so that few sequences too fill the card. */
  private int splits(AttentionShape shape, int sequences) {
    int blocks = sequences * blocksOfHeads(shape);
    int wanted = Math.ceilDiv(BLOCKS_PER_MULTIPROCESSOR * multiprocessors, blocks);
    return Math.clamp(wanted, LEAST_SPLITS, MOST_SPLITS);
  }

  private static int blocksOfHeads(AttentionShape shape) {
    return shape.kvHeads() * Math.ceilDiv(shape.heads() / shape.kvHeads(), 16);
  }

  private long partialBytes(AttentionShape shape, int sequences) {
    return 4L * sequences * shape.heads() * splits(shape, sequences) * (shape.headDim() + 2);
  }
}
