package io.flotilla.engine.schedule;

import java.util.List;

/**
 * Whose turn it is. A sequence that generates belongs to one micro-batch and is computed when that
 * has its turn; prompts are computed in any turn, in chunks that keep turns even.
 */
final class MicroBatches {
  /** A smaller chunk costs more for reading the weights than it gains in evenness. */
  private static final int LEAST_CHUNK = 64;

  private final int count;
  private int turn;

  MicroBatches(int count) {
    this.count = count;
  }

  int count() {
    return count;
  }

  /** The micro-batch whose turn it is. */
  int turn() {
    return turn;
  }

  void nextTurn() {
    turn = (turn + 1) % count;
  }

  /** The micro-batch with the fewest sequences; of equals the one whose turn is soonest over. */
  int smallest(List<Sequence> running) {
    int[] sizes = new int[count];
    for (Sequence sequence : running) {
      if (sequence.hasMicroBatch()) {
        sizes[sequence.microBatch()]++;
      }
    }
    int smallest = turn;
    for (int i = 0; i < count; i++) {
      int batch = (turn + count - i) % count;
      if (sizes[batch] < sizes[smallest]) {
        smallest = batch;
      }
    }
    return smallest;
  }

  /**
   * Tokens of prompts that a step may compute.
   *
   * @param pending tokens of all prompts that are left to compute
   */
  int chunk(long pending, int budget) {
    if (count == 1) {
      return budget;
    }
    long even = Math.ceilDiv(pending, (long) count);
    return (int) Math.min(budget, Math.max(even, LEAST_CHUNK));
  }
}
