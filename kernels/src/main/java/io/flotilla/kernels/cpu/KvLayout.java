package io.flotilla.kernels.cpu;

import io.flotilla.kernels.AttentionBatch;
import io.flotilla.kernels.AttentionShape;
import io.flotilla.kernels.KvCache;
import java.lang.foreign.MemorySegment;

/**
 * Where a head of a token lies in a layer's cache. Keys and values have a buffer each, both F32
 * with the same layout:
 *
 * <pre>
 *   [block][key-value head][token in block][element of head]
 * </pre>
 *
 * The tokens of one head of one block are adjacent, so that attention reads them in one sweep.
 */
final class KvLayout {
  private KvLayout() {}

  /** Bytes of one block of the keys, or of the values. */
  static long blockBytes(AttentionShape shape, int blockSize) {
    return (long) shape.kvHeads() * blockSize * shape.headDim() * Float.BYTES;
  }

  /** The byte, in keys and in values, where a head of a block's token starts. */
  static long offset(KvCache cache, int block, int head, int token) {
    AttentionShape shape = cache.shape();
    long headOfBlock = (long) block * shape.kvHeads() + head;
    return (headOfBlock * cache.blockSize() + token) * shape.headDim() * Float.BYTES;
  }

  /** The block that holds a position of a sequence of the batch. */
  static int block(AttentionBatch batch, KvCache cache, int sequence, int position) {
    MemorySegment tables = NativeMemory.segment(batch.blockTables());
    long row = sequence * batch.blockTables().rowBytes();
    long column = position / cache.blockSize();
    return tables.get(NativeMemory.INT, row + column * Integer.BYTES);
  }
}
