package io.flotilla.kernels.cpu;

import io.flotilla.kernels.AttentionBatch;
import io.flotilla.kernels.KvCache;
import io.flotilla.kernels.RopeTable;
import io.flotilla.kernels.Tensor;
import jdk.incubator.vector.FloatVector;
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

  RotaryStore(
      @Nullable Tensor queryNorm,
      @Nullable Tensor keyNorm,
      float epsilon,
      RopeTable rope,
      AttentionBatch batch,
      KvCache cache) {
    this.queryNorm = queryNorm;
    this.keyNorm = keyNorm;
    this.epsilon = epsilon;
    this.rope = rope;
    this.batch = batch;
    this.cache = cache;
    this.layout = KvLayout.of(cache);
  }

  /**
   * @param qkv address of a row of fused queries, keys and values
   * @param row its index in the step
   */
  void run(long qkv, int row) {
    int position = Lanes.getInt(NativeMemory.address(batch.positions()) + 4L * row);
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
      VectorOps.normalise(head, NativeMemory.address(norm), layout.headDim(), epsilon, head);
    }
    if (rope.interleaved()) {
      rotateNeighbours(head, angles, layout.headDim() / 2);
    } else {
      rotateHalves(head, angles, layout.headDim() / 2);
    }
  }

  private static void rotateNeighbours(long head, long angles, int pairs) {
    for (int i = 0; i < pairs; i++) {
      rotate(head + 8L * i, head + 8L * i + 4, angles + 4L * i, angles + 4L * (pairs + i));
    }
  }

  private static void rotateHalves(long head, long angles, int pairs) {
    long half = 4L * pairs;
    int whole = Lanes.FLOATS.loopBound(pairs);
    for (int i = 0; i < whole; i += Lanes.COUNT) {
      long at = head + 4L * i;
      FloatVector first = Lanes.load(at);
      FloatVector second = Lanes.load(at + half);
      FloatVector cosine = Lanes.load(angles + 4L * i);
      FloatVector sine = Lanes.load(angles + half + 4L * i);
      Lanes.store(first.mul(cosine).sub(second.mul(sine)), at);
      Lanes.store(second.mul(cosine).add(first.mul(sine)), at + half);
    }
    for (int i = whole; i < pairs; i++) {
      long at = head + 4L * i;
      rotate(at, at + half, angles + 4L * i, angles + half + 4L * i);
    }
  }

  private static void rotate(long first, long second, long cosineAt, long sineAt) {
    float a = Lanes.getFloat(first);
    float b = Lanes.getFloat(second);
    float cosine = Lanes.getFloat(cosineAt);
    float sine = Lanes.getFloat(sineAt);
    Lanes.setFloat(first, a * cosine - b * sine);
    Lanes.setFloat(second, b * cosine + a * sine);
  }

  private void store(long keys, long values, int row, int position) {
    int sequence = Lanes.getInt(NativeMemory.address(batch.rowSequences()) + 4L * row);
    long table =
        NativeMemory.address(batch.blockTables()) + sequence * batch.blockTables().rowBytes();
    int block = Lanes.getInt(table + 4L * (position / layout.blockSize()));
    int token = position % layout.blockSize();
    int headDim = layout.headDim();
    for (int head = 0; head < layout.kvHeads(); head++) {
      long from = 4L * head * headDim;
      long key = NativeMemory.address(cache.keys()) + layout.keys(block, head) + 4L * token;
      for (int i = 0; i < headDim; i++) {
        Lanes.setFloat(key + i * layout.keyStride(), Lanes.getFloat(keys + from + 4L * i));
      }
      long value =
          NativeMemory.address(cache.values())
              + layout.values(block, head)
              + token * layout.valueStride();
      Lanes.copy(values + from, value, 4L * headDim);
    }
  }
}
