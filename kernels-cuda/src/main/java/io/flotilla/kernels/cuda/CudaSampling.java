package io.flotilla.kernels.cuda;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.flotilla.kernels.Buffer;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import io.flotilla.kernels.TokenSampling;
import java.lang.foreign.MemorySegment;

/**
 * Sampling by one block of threads a row. A row is described as
 *
 * <pre>
 *   0 key (u64) | 8 temperature (f32) | 12 least (f32) | 16 slot (i32) | 20 unused
 * </pre>
 */
final class CudaSampling implements TokenSampling {
  private static final int ROW_BYTES = 24;
  private static final int THREADS = 1024;

  private final Launcher launcher;

  CudaSampling(Launcher launcher) {
    this.launcher = launcher;
  }

  @Override
  public long rowBytes() {
    return ROW_BYTES;
  }

  @Override
  public void describe(
      MemorySegment rows, int row, long key, float temperature, float least, int slot) {
    long at = (long) row * ROW_BYTES;
    rows.set(JAVA_LONG, at, key);
    rows.set(JAVA_FLOAT, at + 8, temperature);
    rows.set(JAVA_FLOAT, at + 12, least);
    rows.set(JAVA_INT, at + 16, slot);
  }

  @Override
  public void sample(Stream stream, Tensor logits, Buffer rows, Tensor samples, Tensor last) {
    launcher
        .pointer(CudaBuffer.address(logits))
        .number((long) logits.stride())
        .number(logits.columns())
        .pointer(CudaBuffer.address(rows))
        .pointer(CudaBuffer.address(samples))
        .pointer(CudaBuffer.address(last))
        .launch("sample", Launcher.Grid.of(logits.rows(), THREADS), CudaStream.handle(stream));
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
