package io.flotilla.engine.cache;

import java.util.Arrays;

/**
 * The blocks of one sequence, in order of position, and the hashes of its full blocks. The hashes
 * outlive the blocks: a sequence's tokens only grow, so that one that comes back after preemption
 * need not be hashed again. Made and changed by {@link BlockManager} alone.
 */
public final class BlockTable {
  private int[] blocks = new int[8];
  private int size;
  private int registered;
  private long[] hashes;
  private int hashed;

  /** The salt's hash is the parent of the first block's. */
  BlockTable(long saltLow, long saltHigh) {
    hashes = new long[18];
    hashes[0] = saltLow;
    hashes[1] = saltHigh;
  }

  /** Blocks held. */
  public int size() {
    return size;
  }

  /** The blocks from {@code index} on. */
  public int[] blocksFrom(int index) {
    return Arrays.copyOfRange(blocks, index, size);
  }

  int block(int index) {
    return blocks[index];
  }

  void add(int block) {
    if (size == blocks.length) {
      blocks = Arrays.copyOf(blocks, 2 * size);
    }
    blocks[size++] = block;
  }

  void clear() {
    size = 0;
    registered = 0;
  }

  /** Leading blocks whose hashes were offered to the prefix cache. */
  int registered() {
    return registered;
  }

  void setRegistered(int count) {
    registered = count;
  }

  /** Hashes full blocks up to {@code count} of them. */
  void hashUpTo(int count, PrefixHasher hasher, int[] tokens, int blockSize) {
    if (2 * count + 2 > hashes.length) {
      hashes = Arrays.copyOf(hashes, Math.max(2 * count + 2, 2 * hashes.length));
    }
    for (; hashed < count; hashed++) {
      hasher.hashBlock(low(hashed - 1), high(hashed - 1), tokens, hashed * blockSize, blockSize);
      hashes[2 * hashed + 2] = hasher.low();
      hashes[2 * hashed + 3] = hasher.high();
    }
  }

  /** Half of the hash of block {@code index} with all before it; the salt's at -1. */
  long low(int index) {
    return hashes[2 * index + 2];
  }

  /** The other half. */
  long high(int index) {
    return hashes[2 * index + 3];
  }
}
