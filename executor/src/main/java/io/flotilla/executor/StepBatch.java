package io.flotilla.executor;

import io.flotilla.executor.StepPlan.SequenceStep;
import io.flotilla.executor.StepPlan.TokenInput.Known;
import io.flotilla.executor.StepPlan.TokenInput.PreviousSample;
import io.flotilla.kernels.AttentionBatch;
import io.flotilla.kernels.Device;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import java.lang.foreign.Arena;
import java.util.List;

/**
 * The integers a step's operations read: ids, positions and block tables, in memory allocated once
 * for the largest step.
 */
final class StepBatch {
  private static final int PADDING = -1;
  private static final int LEAST_COLUMNS = 64;

  private final Device device;
  private final int mostPaddedRows;
  private final int mostColumns;
  private final StagedIntegers ids;
  private final StagedIntegers rowSequences;
  private final StagedIntegers positions;
  private final StagedIntegers firstRows;
  private final StagedIntegers blockTables;

  StepBatch(Device device, Arena arena, ExecutorOptions options) {
    int rows = options.maxBatchedTokens();
    int sequences = options.maxSequences();
    this.device = device;
    this.mostPaddedRows = Math.min(rows, sequences);
    this.mostColumns = options.blocksPerSequence();
    ids = new StagedIntegers(device, arena, rows);
    rowSequences = new StagedIntegers(device, arena, rows);
    positions = new StagedIntegers(device, arena, rows);
    firstRows = new StagedIntegers(device, arena, sequences + 1);
    int tableEntries = Math.multiplyExact(sequences, mostColumns);
    blockTables = new StagedIntegers(device, arena, tableEntries);
  }

  /** Bytes on host and device. */
  long bytes() {
    return ids.bytes()
        + rowSequences.bytes()
        + positions.bytes()
        + firstRows.bytes()
        + blockTables.bytes();
  }

  /** Writes a plan's rows: those of a sequence are adjacent, sequences in the plan's order. */
  Uploaded upload(Stream stream, List<SequenceStep> sequences, Slot[] slots) {
    int columns = columns(sequences, slots);
    int row = 0;
    for (int index = 0; index < sequences.size(); index++) {
      SequenceStep sequence = sequences.get(index);
      Slot slot = slots[sequence.slot()];
      firstRows.set(index, row);
      slot.copyBlocks(blockTables, index * columns);
      writeIds(row, sequence, slot);
      for (int i = 0; i < sequence.tokens().count(); i++) {
        rowSequences.set(row, index);
        positions.set(row, sequence.computed() + i);
        row++;
      }
    }
    boolean single = row == sequences.size();
    int padded = single ? pad(row) : sequences.size();
    row += padded - sequences.size();
    firstRows.set(padded, row);
    AttentionBatch batch =
        new AttentionBatch(
            row,
            padded,
            rowSequences.upload(stream, 1, row),
            positions.upload(stream, 1, row),
            firstRows.upload(stream, 1, padded + 1),
            blockTables.upload(stream, padded, columns));
    return new Uploaded(ids.upload(stream, 1, row), batch, single);
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
  private int pad(int rows) {
    int padded = Math.min(mostPaddedRows, device.paddedRows(rows));
    for (int row = rows; row < padded; row++) {
      firstRows.set(row, row);
      rowSequences.set(row, row);
      positions.set(row, PADDING);
      ids.set(row, 0);
    }
    return padded;
  }

  private void writeIds(int row, SequenceStep sequence, Slot slot) {
    switch (sequence.tokens()) {
      case Known(int[] known) -> ids.set(row, known, known.length);
      case PreviousSample() -> ids.set(row, slot.lastSample());
    }
  }

  /**
   * Ids, I32 {@code [1, rows]}, and where the rows belong.
   *
   * @param single whether each sequence has one row; there may be padding then
   */
  record Uploaded(Tensor ids, AttentionBatch batch, boolean single) {}
}
