package io.flotilla.executor;

import io.flotilla.executor.StepPlan.SequenceStep;
import io.flotilla.kernels.Tensor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;

/**
 * Which rows go to the ranks of their experts, where nothing is routed: as many as go there by lot,
 * in whole rows.
 */
final class PaperRouting {
  private final RowSplit split;
  private final int[] rows;
  private double reach;
  private boolean asked;

  /**
   * @param ranks that share out the rows of a step
   */
  PaperRouting(int ranks) {
    this.split = new RowSplit(ranks);
    this.rows = new int[ranks];
  }

  /** Begins a step. */
  void deal(List<SequenceStep> sequences) {
    split.deal(sequences);
    Arrays.fill(rows, 0);
    split.runs().forEach(run -> rows[run.rank()] += run.count());
  }

  /**
   * The rows of a layer are routed; their counts are what is downloaded next.
   *
   * @param reach the part of all rows that has an expert on a rank
   */
  void choose(double reach) {
    this.reach = reach;
    this.asked = true;
  }

  /** Writes how many rows go from each rank to each, where that is what is downloaded. */
  void answer(MemorySegment to) {
    if (!asked) {
      return;
    }
    asked = false;
    for (int from = 0; from < rows.length; from++) {
      int count = (int) Math.ceil(rows[from] * reach);
      for (int peer = 0; peer < rows.length; peer++) {
        to.setAtIndex(ValueLayout.JAVA_INT, (long) from * rows.length + peer, count);
      }
    }
  }

  /** Rows that a rank's experts may be chosen by: of all ranks, where rows go to their experts. */
  int rowsOf(Tensor x) {
    if (reach == 0) {
      return x.rows();
    }
    int all = 0;
    for (int count : rows) {
      all += count;
    }
    return all;
  }
}
