package io.flotilla.engine.cache;

import java.security.SecureRandom;

/**
 * The KV blocks of one replica. A block is held by one sequence, or by several that share a prefix,
 * or is free. A full block whose tokens are known can be registered in the prefix cache; it stays
 * there after it is freed, until it is given out again.
 *
 * <p>Free blocks are given out in this order: those that hold nothing worth keeping, the one freed
 * last first, then cached ones, the one freed first first. Of one sequence the last blocks go
 * before the first, because a prefix is of use without what follows it and not the other way round.
 *
 * <p>Blocks given out may still be written by steps that are in flight. That is right as long as
 * steps run in the order of submission, and a registered block is never written again. One thread;
 * nothing here allocates but the growth of a table.
 */
public final class BlockManager {
  private final int blockSize;
  private final boolean prefixCaching;
  private final int[] references;
  private final FreeList free;
  private final PrefixIndex index;
  private final PrefixHasher hasher;

  /**
   * @param blocks how many there are
   * @param blockSize tokens a block holds
   * @param prefixCaching whether sequences share the blocks of equal prefixes
   */
  public BlockManager(int blocks, int blockSize, boolean prefixCaching) {
    this.blockSize = blockSize;
    this.prefixCaching = prefixCaching;
    this.references = new int[blocks];
    this.free = new FreeList(blocks);
    this.index = new PrefixIndex(blocks);
    SecureRandom keys = new SecureRandom();
    this.hasher = new PrefixHasher(keys.nextLong(), keys.nextLong());
  }

  /** Blocks, held or free. */
  public int totalBlocks() {
    return references.length;
  }

  /** Blocks nobody holds, cached ones included. */
  public int freeBlocks() {
    return free.size();
  }

  /** Blocks that {@code tokens} tokens need. */
  public int blocksFor(int tokens) {
    return Math.ceilDiv(tokens, blockSize);
  }

  /**
   * The empty table of a new sequence.
   *
   * @param salt sequences share blocks only under the same salt
   */
  public BlockTable newTable(String salt) {
    hasher.hashSalt(salt);
    return new BlockTable(hasher.low(), hasher.high());
  }

  /**
   * Gives an empty table room for {@code length} tokens, the longest cached prefix first. At least
   * one token is always left to compute.
   *
   * @param tokens at least {@code length}, all known
   * @param useCache whether cached blocks may be used
   * @param reserve blocks that must stay free
   * @return tokens whose keys and values are cached, or -1 when there are too few free blocks
   */
  public int admit(BlockTable table, int[] tokens, int length, boolean useCache, int reserve) {
    int cached = 0;
    int cachedFree = 0;
    if (prefixCaching && useCache) {
      int candidates = (length - 1) / blockSize;
      table.hashUpTo(candidates, hasher, tokens, blockSize);
      for (; cached < candidates; cached++) {
        int block = index.find(table.low(cached), table.high(cached));
        if (block == PrefixIndex.NONE) {
          break;
        }
        if (references[block] == 0) {
          cachedFree++;
        }
      }
    }
    if (blocksFor(length) - cached + cachedFree + reserve > free.size()) {
      return -1;
    }
    for (int i = 0; i < cached; i++) {
      share(table, index.find(table.low(i), table.high(i)));
    }
    table.setRegistered(cached);
    grow(table, length);
    return cached * blockSize;
  }

  /**
   * Gives a table room for {@code tokens} tokens, or changes nothing when there are too few free
   * blocks.
   */
  public boolean grow(BlockTable table, int tokens) {
    int missing = blocksFor(tokens) - table.size();
    if (missing > free.size()) {
      return false;
    }
    for (; missing > 0; missing--) {
      int block = free.removeFirst();
      if (index.contains(block)) {
        index.remove(block);
      }
      references[block] = 1;
      table.add(block);
    }
    return true;
  }

  /**
   * Offers the full blocks of a sequence to the prefix cache. Where the cache has an equal block
   * already, this one stays the sequence's own.
   *
   * @param length tokens that are known and whose keys and values are computed, or will be by a
   *     step that runs before any that is still to be planned
   */
  public void register(BlockTable table, int[] tokens, int length) {
    int full = length / blockSize;
    if (!prefixCaching || full <= table.registered()) {
      return;
    }
    table.hashUpTo(full, hasher, tokens, blockSize);
    for (int i = table.registered(); i < full; i++) {
      if (index.find(table.low(i), table.high(i)) == PrefixIndex.NONE) {
        index.add(table.block(i), table.low(i), table.high(i));
      }
    }
    table.setRegistered(full);
  }

  /** Takes all blocks from a table. */
  public void release(BlockTable table) {
    for (int i = table.size() - 1; i >= 0; i--) {
      int block = table.block(i);
      references[block]--;
      if (references[block] == 0) {
        if (index.contains(block)) {
          free.addLast(block);
        } else {
          free.addFirst(block);
        }
      }
    }
    table.clear();
  }

  /**
   * Checks that every block is either held or free and that the cache finds what it has.
   *
   * @param tables of all sequences that hold blocks
   * @throws IllegalStateException naming what is wrong
   */
  public void checkInvariants(Iterable<BlockTable> tables) {
    free.checkInvariants();
    index.checkInvariants();
    int[] counted = new int[references.length];
    for (BlockTable table : tables) {
      for (int i = 0; i < table.size(); i++) {
        counted[table.block(i)]++;
      }
    }
    for (int block = 0; block < references.length; block++) {
      if (counted[block] != references[block] || free.contains(block) != (references[block] == 0)) {
        throw new IllegalStateException(
            "KV block %d is held by %d sequences, counted for %d and %s"
                .formatted(
                    block,
                    counted[block],
                    references[block],
                    free.contains(block) ? "free" : "not free"));
      }
    }
  }

  private void share(BlockTable table, int block) {
    if (references[block]++ == 0) {
      free.remove(block);
    }
    table.add(block);
  }
}
