package io.flotilla.engine.cache;

import java.util.Arrays;

/**
 * The blocks nobody holds, in the order in which they are given out: a doubly linked list threaded
 * through two arrays, so that every operation takes constant time and none allocates.
 */
final class FreeList {
  private static final int HELD = -1;

  /**
   * Both arrays end with the list's own node, whose next is the head and whose previous the tail.
   */
  private final int[] next;

  private final int[] previous;
  private final int anchor;
  private int size;

  /** All blocks, in order. */
  FreeList(int blocks) {
    next = new int[blocks + 1];
    previous = new int[blocks + 1];
    anchor = blocks;
    Arrays.fill(next, HELD);
    next[anchor] = anchor;
    previous[anchor] = anchor;
    for (int block = 0; block < blocks; block++) {
      addLast(block);
    }
  }

  int size() {
    return size;
  }

  boolean contains(int block) {
    return next[block] != HELD;
  }

  /** To be given out before all others. */
  void addFirst(int block) {
    link(block, anchor, next[anchor]);
  }

  /** To be given out after all others. */
  void addLast(int block) {
    link(block, previous[anchor], anchor);
  }

  void remove(int block) {
    next[previous[block]] = next[block];
    previous[next[block]] = previous[block];
    next[block] = HELD;
    size--;
  }

  /**
   * @throws IllegalStateException when there is none
   */
  int removeFirst() {
    int block = next[anchor];
    if (block == anchor) {
      throw new IllegalStateException("no KV block is free");
    }
    remove(block);
    return block;
  }

  /**
   * @throws IllegalStateException when the links are broken
   */
  void checkInvariants() {
    int seen = 0;
    for (int block = next[anchor]; block != anchor; block = next[block]) {
      if (block == HELD || ++seen > size || next[previous[block]] != block) {
        throw new IllegalStateException("the free list is broken at entry " + seen);
      }
    }
    if (seen != size) {
      throw new IllegalStateException("the free list has " + seen + " blocks, not " + size);
    }
  }

  private void link(int block, int before, int after) {
    next[block] = after;
    previous[block] = before;
    next[before] = block;
    previous[after] = block;
    size++;
  }
}
