package io.flotilla.executor;

import io.flotilla.executor.RowSplit.Run;
import io.flotilla.executor.StepPlan.SequenceStep;
import io.flotilla.executor.StepPlan.TokenInput.Known;
import io.flotilla.executor.StepPlan.TokenInput.PreviousSample;
import io.flotilla.kernels.AttentionBatch;
import io.flotilla.kernels.Device;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import io.flotilla.model.layer.StepRows;
import java.lang.foreign.Arena;
import java.util.List;

/**
 * The integers a step's operations read: ids, positions and block tables, in memory allocated once
 * for the largest step.
 */
final class StepBatch {
  private static final int PADDING = -1;
  private static final int LEAST_COLUMNS = 64;

  /** Larger steps take so long that a device need not be spared the host's launches. */
  private static final int MOST_REPEATED_ROWS = 512;

  private static final int FEW_PROMPTS = 8;

  private final Device device;
  private final RowSplit split;
  private final int rank;
  private final int mostRows;
  private final int mostSequences;
  private final int mostColumns;
  private final StagedIntegers ids;
  private final StagedIntegers rowSequences;
  private final StagedIntegers positions;
  private final StagedIntegers firstRows;
  private final StagedIntegers blockTables;
  private final StagedIntegers gatheredSequences;
  private final StagedIntegers gatheredPositions;

  /** A batch of every row. */
  StepBatch(Device device, Arena arena, ExecutorOptions options) {
    this(device, arena, options, new RowSplit(1), 0);
  }

  /**
   * @param split says which rows are the rank's
   */
  StepBatch(Device device, Arena arena, ExecutorOptions options, RowSplit split, int rank) {
    int rows = options.maxBatchedTokens();
    int sequences = device.paddedRows(options.maxSequences());
    int runs = split.mostRuns(sequences);
    int gathered = split.ranks() == 1 ? 0 : Math.multiplyExact(split.ranks(), rows);
    int tables = split.ranks() == 1 ? sequences : sequences + runs;
    this.device = device;
    this.split = split;
    this.rank = rank;
    this.mostRows = rows;
    this.mostSequences = sequences;
    this.mostColumns = options.blocksPerSequence();
    ids = new StagedIntegers(device, arena, rows);
    rowSequences = new StagedIntegers(device, arena, rows);
    positions = new StagedIntegers(device, arena, rows);
    firstRows = new StagedIntegers(device, arena, runs + 1);
    blockTables = new StagedIntegers(device, arena, Math.multiplyExact(tables, mostColumns));
    gatheredSequences = new StagedIntegers(device, arena, gathered);
    gatheredPositions = new StagedIntegers(device, arena, gathered);
  }

  /** Bytes on host and device. */
  long bytes() {
    return ids.bytes()
        + rowSequences.bytes()
        + positions.bytes()
        + firstRows.bytes()
        + blockTables.bytes()
        + gatheredSequences.bytes()
        + gatheredPositions.bytes();
  }

  /**
   * Shares out a plan's rows and writes this rank's: those of a run adjacent, runs in the plan's
   * order.
   */
  Uploaded upload(Stream stream, List<SequenceStep> sequences, Slot[] slots) {
    split.deal(sequences);
    int columns = columns(sequences, slots);
    int shared = split.ranks() == 1 ? 0 : sequences.size();
    int row = 0;
    int runs = 0;
    int prompts = 0;
    for (Run run : split.runs(rank)) {
      SequenceStep sequence = sequences.get(run.sequence());
      firstRows.set(runs, row);
      slots[sequence.slot()].copyBlocks(blockTables, (shared + runs) * columns);
      writeRows(row, run, runs, sequence, slots[sequence.slot()]);
      row += run.count();
      runs++;
      prompts += run.count() > 1 ? 1 : 0;
    }
    boolean repeats = split.ranks() == 1 && (row == runs || row <= MOST_REPEATED_ROWS);
    int padded = runs;
    if (repeats) {
      padded = row == runs ? padSequences(row) : padMixed(row, runs);
      prompts = prompts == 0 ? 0 : prompts <= FEW_PROMPTS ? FEW_PROMPTS : padded;
      row = row == runs ? padded : paddedRows(row, mostRows);
    } else {
      firstRows.set(runs, row);
    }
    AttentionBatch gathered = null;
    for (int index = 0; index < shared; index++) {
      slots[sequences.get(index).slot()].copyBlocks(blockTables, index * columns);
    }
    Tensor tables = blockTables.upload(stream, shared + padded, columns);
    if (shared > 0) {
      gathered = gathered(stream, sequences, tables.sliceRows(0, shared));
    }
    AttentionBatch own =
        new AttentionBatch(
            row,
            padded,
            prompts,
            rowSequences.upload(stream, 1, row),
            positions.upload(stream, 1, row),
            firstRows.upload(stream, 1, padded + 1),
            tables.sliceRows(shared, padded));
    return new Uploaded(ids.upload(stream, 1, row), new StepRows(own, gathered), repeats);
  }

  /** Where the rows of all ranks belong; this rank's own are stored already. */
  private AttentionBatch gathered(Stream stream, List<SequenceStep> sequences, Tensor tables) {
    int each = split.mostRows();
    int rows = split.ranks() * each;
    for (int row = 0; row < rows; row++) {
      gatheredSequences.set(row, 0);
      gatheredPositions.set(row, PADDING);
    }
    int row = 0;
    for (Run run : split.runs()) {
      int position = sequences.get(run.sequence()).computed() + run.first();
      for (int i = 0; i < run.count(); i++, row++) {
        if (run.rank() != rank) {
          int place = run.rank() * each + split.place(row);
          gatheredSequences.set(place, run.sequence());
          gatheredPositions.set(place, position + i);
        }
      }
    }
    Tensor sequencesOfRows = gatheredSequences.upload(stream, 1, rows);
    Tensor positionsOfRows = gatheredPositions.upload(stream, 1, rows);
    // Nobody attends by this batch, so its first rows are not told.
    return new AttentionBatch(
        rows, 0, sequencesOfRows, positionsOfRows, positionsOfRows.sliceColumns(0, 0), tables);
  }

  private void writeRows(int row, Run run, int index, SequenceStep sequence, Slot slot) {
    int first = sequence.computed() + run.first();
    for (int i = 0; i < run.count(); i++) {
      rowSequences.set(row + i, index);
      positions.set(row + i, first + i);
    }
    switch (sequence.tokens()) {
      case Known(int[] known) -> ids.set(row, known, run.first(), run.count());
      case PreviousSample() -> ids.set(row, slot.lastSample());
    }
  }

  /** Columns of the block tables, in few steps for the sake of {@link Stream#repeat}. */
  private int columns(List<SequenceStep> sequences, Slot[] slots) {
    int most = 1;
    for (SequenceStep sequence : sequences) {
      most = Math.max(most, slots[sequence.slot()].blockCount());
    }
    return Math.min(mostColumns, Math.max(LEAST_COLUMNS, Integer.highestOneBit(2 * most - 1)));
  }

  /** Adds sequences of one padding row each and returns how many sequences there are then. */
  private int padSequences(int rows) {
    int padded = paddedRows(rows, Math.min(mostRows, mostSequences));
    for (int row = rows; row < padded; row++) {
      firstRows.set(row, row);
      padRow(row, row);
    }
    firstRows.set(padded, padded);
    return padded;
  }

  /**
   * Adds padding rows and sequences without rows to a step that holds prompts, and returns how many
   * sequences there are then: fewer than rows, so that this stays a step that holds prompts.
   */
  private int padMixed(int rows, int sequences) {
    int paddedRows = paddedRows(rows, mostRows);
    int padded = paddedRows(sequences, Math.min(mostSequences, paddedRows - 1));
    for (int row = rows; row < paddedRows; row++) {
      padRow(row, 0);
    }
    for (int sequence = sequences; sequence <= padded; sequence++) {
      firstRows.set(sequence, rows);
    }
    return padded;
  }

  private void padRow(int row, int sequence) {
    rowSequences.set(row, sequence);
    positions.set(row, PADDING);
    ids.set(row, 0);
  }

  private int paddedRows(int count, int most) {
    return Math.min(most, device.paddedRows(count));
  }

  /**
   * Ids, I32 {@code [1, rows]}, and where the rows belong.
   *
   * @param repeats whether steps of its sizes are few, each to be recorded; there may be padding
   *     then
   */
  record Uploaded(Tensor ids, StepRows rows, boolean repeats) {}
}
