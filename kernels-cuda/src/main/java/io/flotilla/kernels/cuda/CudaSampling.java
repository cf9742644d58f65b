package io.flotilla.kernels.cuda;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import io.flotilla.kernels.TokenChoice;
import io.flotilla.kernels.TokenChoice.Penalties;
import io.flotilla.kernels.TokenSampling;
import java.lang.foreign.MemorySegment;

/**
 * Sampling by one block of threads a row. A row is described as
 *
 * <pre>
 *    0 key (u64) | 8 temperature | 12 least | 16 top p (f32) | 20 top k | 24 slot | 28 history
 *   32 prompt (i32) | 36 repetition | 40 presence | 44 frequency (f32) | 48 first edit
 *   52 biases | 56 masked | 60 likeliest (i32)
 * </pre>
 *
 * and an edit as id (i32) and bias (f32).
 */
final class CudaSampling implements TokenSampling {
  private static final int ROW_BYTES = 64;
  private static final int EDIT_BYTES = 8;
  private static final int UNCOUNTED = -1;
  private static final int THREADS = 1024;
  private static final int ADJUSTERS = 256;
  private static final int PAIR_BYTES = 8;

  private final Launcher launcher;

  CudaSampling(Launcher launcher) {
    this.launcher = launcher;
  }

  @Override
  public long rowBytes() {
    return ROW_BYTES;
  }

  @Override
  public long editBytes() {
    return EDIT_BYTES;
  }

  @Override
  public void describe(MemorySegment rows, int row, TokenChoice choice) {
    long at = (long) row * ROW_BYTES;
    rows.set(JAVA_LONG, at, choice.noiseKey());
    rows.set(JAVA_FLOAT, at + 8, choice.temperature());
    rows.set(JAVA_FLOAT, at + 12, choice.least());
    rows.set(JAVA_FLOAT, at + 16, choice.topP());
    rows.set(JAVA_INT, at + 20, choice.topK());
    rows.set(JAVA_INT, at + 24, choice.slot());
    Penalties penalties = choice.penalties();
    rows.set(JAVA_INT, at + 28, penalties == null ? UNCOUNTED : penalties.tokens());
    rows.set(JAVA_INT, at + 32, penalties == null ? 0 : penalties.promptTokens());
    rows.set(JAVA_FLOAT, at + 36, penalties == null ? 1 : penalties.repetition());
    rows.set(JAVA_FLOAT, at + 40, penalties == null ? 0 : penalties.presence());
    rows.set(JAVA_FLOAT, at + 44, penalties == null ? 0 : penalties.frequency());
    rows.set(JAVA_INT, at + 48, choice.edits().first());
    rows.set(JAVA_INT, at + 52, choice.edits().biases());
    rows.set(JAVA_INT, at + 56, choice.edits().masked());
    rows.set(JAVA_INT, at + 60, choice.likeliest());
  }

  @Override
  public void edit(MemorySegment edits, int index, int id, float bias) {
    edits.set(JAVA_INT, (long) index * EDIT_BYTES, id);
    edits.set(JAVA_FLOAT, (long) index * EDIT_BYTES + 4, bias);
  }

  @Override
  public void sample(Stream stream, Rows rows, Sequences sequences, Choices choices) {
    Tensor logits = rows.logits();
    if (rows.adjusts()) {
      launcher
          .pointer(CudaBuffer.address(logits))
          .number((long) logits.stride())
          .number(logits.columns())
          .pointer(CudaBuffer.address(rows.rows()))
          .pointer(CudaBuffer.address(rows.edits()))
          .pointer(CudaBuffer.address(sequences.histories()))
          .number((long) sequences.histories().stride())
          .launch(
              "adjust_logits",
              Launcher.Grid.of(logits.rows(), ADJUSTERS),
              CudaStream.handle(stream));
    }
    launcher
        .pointer(CudaBuffer.address(logits))
        .number((long) logits.stride())
        .number(logits.columns())
        .pointer(CudaBuffer.address(rows.rows()))
        .pointer(CudaBuffer.address(choices.tokens()))
        .pointer(CudaBuffer.address(sequences.last()))
        .pointer(CudaBuffer.address(sequences.histories()))
        .number((long) sequences.histories().stride())
        .pointer(CudaBuffer.address(choices.reports()))
        .number(choices.reports().stride() * Integer.BYTES / PAIR_BYTES)
        .launch(
            rows.sorts() ? "sample_sorted" : "sample_plain",
            Launcher.Grid.of(logits.rows(), THREADS),
            CudaStream.handle(stream));
  }

  @Override
  public void takeLast(Stream stream, Tensor ids, Tensor slots, Tensor last) {
    launcher
        .pointer(CudaBuffer.address(ids))
        .pointer(CudaBuffer.address(slots))
        .pointer(CudaBuffer.address(last))
        .number(slots.columns())
        .launch(
            "take_last_samples",
            Launcher.Grid.of(Math.ceilDiv(slots.columns(), 128), 128),
            CudaStream.handle(stream));
  }
}
