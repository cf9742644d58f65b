package io.flotilla.kernels.cpu;

import io.flotilla.kernels.AttentionShape;
import io.flotilla.kernels.KvCache;

/**
 * Where a token's keys and values lie in one layer's cache, F32. A block holds, for each head, its
 * keys across tokens and its values token by token, so that neither scores nor sums of values are
 * ever added across lanes:
 *
 * <pre>
 * keys    [block][head][headDim][blockSize]
 * values  [block][head][blockSize][headDim, rounded up to 16]
 * </pre>
 *
 * @param blockSize 16, 32, 64 or 128
 */
record KvLayout(int kvHeads, int headDim, int blockSize) {
  static final int GRANULE = 16;

  /**
   * @throws IllegalArgumentException when blocks are no whole vectors
   */
  KvLayout {
    if (blockSize < GRANULE || 128 % blockSize != 0) {
      throw new IllegalArgumentException(
          "--block-size " + blockSize + " is not supported: on a CPU it is 16, 32, 64 or 128");
    }
  }

  static KvLayout of(AttentionShape shape, int blockSize) {
    return new KvLayout(shape.kvHeads(), shape.headDim(), blockSize);
  }

  static KvLayout of(KvCache cache) {
    return of(cache.shape(), cache.blockSize());
  }

  /** Bytes from one element of a token's key to the next. */
  long keyStride() {
    return 4L * blockSize;
  }

  /** Bytes from one token's value to the next. */
  long valueStride() {
    return 4L * Math.ceilDiv(headDim, GRANULE) * GRANULE;
  }

  /** Bytes of the keys of one block, all heads. */
  long keyBlockBytes() {
    return (long) kvHeads * headDim * keyStride();
  }

  /** Bytes of the values of one block, all heads. */
  long valueBlockBytes() {
    return (long) kvHeads * blockSize * valueStride();
  }

  /** Offset of the first element of the key of a block's first token. */
  long keys(int block, int head) {
    return block * keyBlockBytes() + (long) head * headDim * keyStride();
  }

  /** Offset of the first element of the value of a block's first token. */
  long values(int block, int head) {
    return block * valueBlockBytes() + (long) head * blockSize * valueStride();
  }
}
