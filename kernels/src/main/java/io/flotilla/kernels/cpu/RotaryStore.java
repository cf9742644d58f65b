package io.flotilla.kernels.cpu;

import io.flotilla.kernels.AttentionBatch;
import io.flotilla.kernels.AttentionShape;
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
  private final AttentionShape shape;
  private final CacheStore store;
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
    this.shape = cache.shape();
    this.store = new CacheStore(batch, cache);
    this.kernels = kernels;
  }

  /**
   * @param qkv address of a row of fused queries, keys and values
   * @param row its index in the step
   */
  void run(long qkv, int row) {
    int position = NativeMemory.getInt(NativeMemory.address(batch.positions()) + 4L * row);
    long headBytes = 4L * shape.headDim();
    long keys = qkv + shape.heads() * headBytes;
    long values = keys + shape.kvHeads() * headBytes;
    long angles = NativeMemory.address(rope.angles()) + position * rope.angles().rowBytes();
    for (long head = qkv; head < keys; head += headBytes) {
      turn(head, queryNorm, angles);
    }
    for (long head = keys; head < values; head += headBytes) {
      turn(head, keyNorm, angles);
    }
    store.run(keys, values, row);
  }

  private void turn(long head, @Nullable Tensor norm, long angles) {
    if (norm != null) {
      kernels.normalise(head, NativeMemory.address(norm), shape.headDim(), epsilon, head);
    }
    if (rope.interleaved()) {
      rotateNeighbours(head, angles, shape.headDim() / 2);
    } else {
      kernels.rotateHalves(head, angles, shape.headDim() / 2);
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
}
