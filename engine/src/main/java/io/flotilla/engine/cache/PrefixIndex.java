package io.flotilla.engine.cache;

import java.util.Arrays;

/**
 * From the hash of a prefix to the block that holds its last tokens: open addressing over block
 * numbers, at most half full, with the hashes kept by block. Constant time, nothing allocated.
 */
final class PrefixIndex {
  static final int NONE = -1;

  private final long[] lows;
  private final long[] highs;
  private final boolean[] indexed;
  private final int[] buckets;
  private final int mask;
  private int size;

  PrefixIndex(int blocks) {
    lows = new long[blocks];
    highs = new long[blocks];
    indexed = new boolean[blocks];
    buckets = new int[Integer.highestOneBit(Math.max(1, blocks)) << 2];
    mask = buckets.length - 1;
    Arrays.fill(buckets, NONE);
  }

  int size() {
    return size;
  }

  boolean contains(int block) {
    return indexed[block];
  }

  /** The block with this hash, or {@link #NONE}. */
  int find(long low, long high) {
    for (int bucket = (int) low & mask; ; bucket = bucket + 1 & mask) {
      int block = buckets[bucket];
      if (block == NONE || (lows[block] == low && highs[block] == high)) {
        return block;
      }
    }
  }

  /** Adds a block that is not indexed, under a hash that is not either. */
  void add(int block, long low, long high) {
    lows[block] = low;
    highs[block] = high;
    indexed[block] = true;
    int bucket = (int) low & mask;
    while (buckets[bucket] != NONE) {
      bucket = bucket + 1 & mask;
    }
    buckets[bucket] = block;
    size++;
  }

  /** Removes an indexed block, and moves back those that had to make way for it. */
  void remove(int block) {
    int hole = (int) lows[block] & mask;
    while (buckets[hole] != block) {
      hole = hole + 1 & mask;
    }
    for (int bucket = hole + 1 & mask; buckets[bucket] != NONE; bucket = bucket + 1 & mask) {
      int home = (int) lows[buckets[bucket]] & mask;
      if ((bucket - home & mask) >= (bucket - hole & mask)) {
        buckets[hole] = buckets[bucket];
        hole = bucket;
      }
    }
    buckets[hole] = NONE;
    indexed[block] = false;
    size--;
  }

  /**
   * @throws IllegalStateException when a block cannot be found, or one is found that should not
   */
  void checkInvariants() {
    int found = 0;
    for (int block = 0; block < indexed.length; block++) {
      if (indexed[block]) {
        found++;
        if (find(lows[block], highs[block]) != block) {
          throw new IllegalStateException("cached block " + block + " cannot be found");
        }
      }
    }
    long filled = Arrays.stream(buckets).filter(block -> block != NONE).count();
    if (found != size || filled != size) {
      throw new IllegalStateException(
          "%d cached blocks, %d of them marked, %d indexed".formatted(size, found, filled));
    }
  }
}
