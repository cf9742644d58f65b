package io.flotilla.kernels.cpu;

import io.flotilla.kernels.AttentionBatch;
import io.flotilla.kernels.KvCache;
import io.flotilla.kernels.RopeTable;
import io.flotilla.kernels.Tensor;
import org.jspecify.annotations.Nullable;

/** Normalises and rotates the heads of a row, and stores its keys and values in the cache. */
final class RotaryStore {
  private final @Nullable Tensor queryNorm;
  private final @Nullable Tensor keyNorm;
  private final float epsilon;
  private final RopeTable rope;
  private final AttentionBatch batch;
  private final KvCache cache;
  private final KvLayout layout;
  private final TileKernels kernels;

  RotaryStore(
      @Nullable Tensor queryNorm,
      @Nullable Tensor keyNorm,
      float epsilon,
      RopeTable rope,
      AttentionBatch batch,
      KvCache cache,
      TileKernels kernels) {
    this.queryNorm = queryNorm;
    this.keyNorm = keyNorm;
    this.epsilon = epsilon;
    this.rope = rope;
    this.batch = batch;
    this.cache = cache;
    this.layout = KvLayout.of(cache);
    this.kernels = kernels;
  }

  /**
   * @param qkv address of a row of fused queries, keys and values
   * @param row its index in the step
   */
  void run(long qkv, int row) {
    int position = NativeMemory.getInt(NativeMemory.address(batch.positions()) + 4L * row);
    long headBytes = 4L * layout.headDim();
    long keys = qkv + cache.shape().heads() * headBytes;
    long values = keys + layout.kvHeads() * headBytes;
    long angles = NativeMemory.address(rope.angles()) + position * rope.angles().rowBytes();
    for (long head = qkv; head < keys; head += headBytes) {
      turn(head, queryNorm, angles);
    }
    for (long head = keys; head < values; head += headBytes) {
      turn(head, keyNorm, angles);
    }
    store(keys, values, row, position);
  }

  private void turn(long head, @Nullable Tensor norm, long angles) {
    if (norm != null) {
      kernels.normalise(head, NativeMemory.address(norm), layout.headDim(), epsilon, head);
    }
    if (rope.interleaved()) {
      rotateNeighbours(head, angles, layout.headDim() / 2);
    } else {
      kernels.rotateHalves(head, angles, layout.headDim() / 2);
    }
  }

  private static void rotateNeighbours(long head, long angles, int pairs) {
    for (int i = 0; i < pairs; i++) {
      rotate(head + 8L * i, head + 8L * i + 4, angles + 4L * i, angles + 4L * (pairs + i));
    }
  }

  static void rotate(long first, long second, long cosineAt, long sineAt) {
    float a = NativeMemory.getFloat(first);
    float b = NativeMemory.getFloat(second);
    float cosine = NativeMemory.getFloat(cosineAt);
    float sine = NativeMemory.getFloat(sineAt);
    NativeMemory.setFloat(first, a * cosine - b * sine);
    NativeMemory.setFloat(second, b * cosine + a * sine);
  }

  private void store(long keys, long values, int row, int position) {
    int sequence = NativeMemory.getInt(NativeMemory.address(batch.rowSequences()) + 4L * row);
    long table =
        NativeMemory.address(batch.blockTables()) + sequence * batch.blockTables().rowBytes();
    int block = NativeMemory.getInt(table + 4L * (position / layout.blockSize()));
    int token = position % layout.blockSize();
    int headDim = layout.headDim();
    for (int head = 0; head < layout.kvHeads(); head++) {
      long from = 4L * head * headDim;
      long key = NativeMemory.address(cache.keys()) + layout.keys(block, head) + 4L * token;
      for (int i = 0; i < headDim; i++) {
        NativeMemory.setFloat(
            key + i * layout.keyStride(), NativeMemory.getFloat(keys + from + 4L * i));
      }
      long value =
          NativeMemory.address(cache.values())
              + layout.values(block, head)
              + token * layout.valueStride();
      NativeMemory.copy(values + from, value, 4L * headDim);
    }
  }
}
