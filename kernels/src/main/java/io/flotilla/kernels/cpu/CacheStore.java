package io.flotilla.kernels.cpu;

import io.flotilla.kernels.AttentionBatch;
import io.flotilla.kernels.KvCache;

/** Stores keys and values in a cache, but for tokens that it does not hold and padding rows. */
final class CacheStore {
  private final AttentionBatch batch;
  private final KvCache cache;
  private final KvLayout layout;

  CacheStore(AttentionBatch batch, KvCache cache) {
    this.batch = batch;
    this.cache = cache;
    this.layout = KvLayout.of(cache);
  }

  /**
   * @param keys address of the keys of all heads, which are normalised and rotated
   * @param values address of the values of all heads
   * @param row of the batch
   */
  void run(long keys, long values, int row) {
    int position = NativeMemory.getInt(NativeMemory.address(batch.positions()) + 4L * row);
    if (position < 0 || !cache.holds(position)) {
      return;
    }
    int held = position / cache.parts();
    int sequence = NativeMemory.getInt(NativeMemory.address(batch.rowSequences()) + 4L * row);
    long table =
        NativeMemory.address(batch.blockTables()) + sequence * batch.blockTables().rowBytes();
    int block = NativeMemory.getInt(table + 4L * (held / layout.blockSize()));
    int token = held % layout.blockSize();
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
