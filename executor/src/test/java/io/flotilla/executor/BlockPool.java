package io.flotilla.executor;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;

/** KV blocks given out at random, and full ones found again by the tokens up to their end. */
final class BlockPool {
  private final RandomGenerator random;
  private final int[] uses;
  private final List<Integer> free = new ArrayList<>();
  private final Map<List<Integer>, Integer> byTokens = new HashMap<>();

  BlockPool(RandomGenerator random, int blocks) {
    this.random = random;
    this.uses = new int[blocks];
    for (int block = 0; block < blocks; block++) {
      free.add(block);
    }
  }

  int free() {
    return free.size();
  }

  /** A block that nobody uses; what it held is forgotten. */
  int take() {
    Collections.swap(free, random.nextInt(free.size()), free.size() - 1);
    Integer block = free.removeLast();
    byTokens.values().remove(block);
    uses[block]++;
    return block;
  }

  /** The block whose tokens these end with, shared from now on; or null. */
  @Nullable Integer share(int[] tokens, int end) {
    Integer block = byTokens.get(key(tokens, end));
    if (block != null && uses[block]++ == 0) {
      free.removeIf(block::equals);
    }
    return block;
  }

  /**
   * A block is, or will be after the step that is planned, full of the tokens up to {@code end}.
   */
  void fill(int block, int[] tokens, int end) {
    byTokens.putIfAbsent(key(tokens, end), block);
  }

  void release(int block) {
    if (--uses[block] == 0) {
      free.add(block);
    }
  }

  private static List<Integer> key(int[] tokens, int end) {
    return Arrays.stream(tokens, 0, end).boxed().toList();
  }
}
