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
  private final StagedIntegers ids;
  private final StagedIntegers rowSequences;
  private final StagedIntegers positions;
  private final StagedIntegers firstRows;
  private final StagedIntegers blockTables;

  StepBatch(Device device, Arena arena, ExecutorOptions options) {
    int rows = options.maxBatchedTokens();
    int sequences = options.maxSequences();
    ids = new StagedIntegers(device, arena, rows);
    rowSequences = new StagedIntegers(device, arena, rows);
    positions = new StagedIntegers(device, arena, rows);
    firstRows = new StagedIntegers(device, arena, sequences + 1);
    int tableEntries = Math.multiplyExact(sequences, options.blocksPerSequence());
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
    int columns = 1;
    for (SequenceStep sequence : sequences) {
      columns = Math.max(columns, slots[sequence.slot()].blockCount());
    }
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
    firstRows.set(sequences.size(), row);
    AttentionBatch batch =
        new AttentionBatch(
            row,
            sequences.size(),
            rowSequences.upload(stream, 1, row),
            positions.upload(stream, 1, row),
            firstRows.upload(stream, 1, sequences.size() + 1),
            blockTables.upload(stream, sequences.size(), columns));
    return new Uploaded(ids.upload(stream, 1, row), batch);
  }

  private void writeIds(int row, SequenceStep sequence, Slot slot) {
    switch (sequence.tokens()) {
      case Known(int[] known) -> ids.set(row, known, known.length);
      case PreviousSample() -> ids.set(row, slot.lastSample());
    }
  }

  /** Ids, I32 {@code [1, rows]}, and where the rows belong. */
  record Uploaded(Tensor ids, AttentionBatch batch) {}
}
