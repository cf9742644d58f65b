package io.flotilla.executor;

import io.flotilla.executor.StepPlan.SequenceStep;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Shares out a step's rows over ranks that each have every key and value. What there is of a prompt
 * is cut into twice as many pieces as there are ranks, and a rank gets one from the front and one
 * from the back, so that all attend to as many tokens; what is too short for that goes whole to the
 * rank that has least so far. Every rank deals alike.
 */
final class RowSplit {
  private final int ranks;
  private final int[] counts;
  private final List<Run> runs = new ArrayList<>();
  private int[] owners = {};
  private int[] places = {};
  private int rows;

  /**
   * Adjacent rows of a sequence.
   *
   * @param sequence its index in the plan
   * @param first the first row, counted from the sequence's first
   */
  record Run(int rank, int sequence, int first, int count) {}

  RowSplit(int ranks) {
    this.ranks = ranks;
    this.counts = new int[ranks];
  }

  int ranks() {
    return ranks;
  }

  /** Runs of one rank at most, of so many sequences. */
  int mostRuns(int sequences) {
    return ranks == 1 ? sequences : 2 * sequences;
  }

  /** Shares out the rows of a step, which the other methods then tell of. */
  void deal(List<SequenceStep> sequences) {
    runs.clear();
    Arrays.fill(counts, 0);
    rows = 0;
    for (int index = 0; index < sequences.size(); index++) {
      int count = sequences.get(index).tokens().count();
      reserve(rows + count);
      if (ranks == 1 || count < 2 * ranks) {
        add(new Run(leastLoaded(), index, 0, count));
      } else {
        dealPieces(index, count);
      }
    }
  }

  private void dealPieces(int sequence, int count) {
    int pieces = 2 * ranks;
    for (int piece = 0; piece < pieces; piece++) {
      int first = border(piece, count);
      int rank = piece < ranks ? piece : pieces - 1 - piece;
      add(new Run(rank, sequence, first, border(piece + 1, count) - first));
    }
  }

  private int border(int piece, int count) {
    return (int) ((long) piece * count / (2L * ranks));
  }

  private int leastLoaded() {
    int least = 0;
    for (int rank = 1; rank < ranks; rank++) {
      if (counts[rank] < counts[least]) {
        least = rank;
      }
    }
    return least;
  }

  private void add(Run run) {
    runs.add(run);
    for (int i = 0; i < run.count; i++) {
      owners[rows] = run.rank;
      places[rows++] = counts[run.rank]++;
    }
  }

  private void reserve(int count) {
    if (owners.length < count) {
      owners = Arrays.copyOf(owners, Math.max(2 * owners.length, count));
      places = Arrays.copyOf(places, owners.length);
    }
  }

  /** In the order of rows. */
  List<Run> runs() {
    return runs;
  }

  /** Those of one rank, in the order of its rows. */
  List<Run> runs(int rank) {
    return ranks == 1 ? runs : runs.stream().filter(run -> run.rank == rank).toList();
  }

  /** Rows of the rank that has most. */
  int mostRows() {
    int most = 0;
    for (int count : counts) {
      most = Math.max(most, count);
    }
    return most;
  }

  /** The rank that computes a row of the step. */
  int owner(int row) {
    return owners[row];
  }

  /** The number of a row of the step among those of its rank. */
  int place(int row) {
    return places[row];
  }
}
