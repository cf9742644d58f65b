package io.flotilla.kernels.cuda;

import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import io.flotilla.kernels.MatrixSource;
import io.flotilla.kernels.MatrixSource.Random;
import io.flotilla.kernels.MatrixSource.Stored;
import io.flotilla.kernels.TensorType;
import io.flotilla.kernels.cpu.BlockFormat;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.stream.IntStream;

/**
 * Brings matrices to the GPU as bf16: stored ones copied, converted on the device where they are
 * floats and on the host where they are quantised; random ones made on the device.
 */
final class MatrixUpload {
  private static final long STAGE_BYTES = PinnedRing.PART_BYTES;
  private static final int PIECE_BYTES = 1 << 20;
  private static final int THREADS = 256;
  private static final int BLOCKS = 1024;

  private final Driver driver;
  private final Launcher launcher;
  private final long stream;
  private final CudaBuffer stage;
  private final PinnedRing ring;

  /**
   * @param stage device memory for what is converted, {@link #stageBytes} of it
   * @param ring what stored matrices pass through
   */
  MatrixUpload(Driver driver, Launcher launcher, long stream, CudaBuffer stage, PinnedRing ring) {
    this.driver = driver;
    this.launcher = launcher;
    this.stream = stream;
    this.stage = stage;
    this.ring = ring;
  }

  static long stageBytes() {
    return STAGE_BYTES;
  }

  /** Starts to write a matrix to device memory, without gaps between rows. */
  void bring(MatrixSource matrix, long to) {
    switch (matrix) {
      case Random random -> fill(random, to);
      case Stored stored -> copy(stored, to);
    }
  }

  /** Waits until everything is written. */
  void await() {
    driver.synchronize(stream);
  }

  private void fill(Random random, long to) {
    boolean gaps = random.columns() != random.stride();
    if (random.first() % 8 != 0
        || (gaps && (random.columns() % 8 != 0 || random.stride() % 8 != 0))) {
      throw new IllegalArgumentException(
          "%d random columns of %d; --device cuda makes multiples of 8"
              .formatted(random.columns(), random.stride()));
    }
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment table = arena.allocate(JAVA_SHORT, random.values().length);
      for (int i = 0; i < random.values().length; i++) {
        int bits = Float.floatToRawIntBits(random.values()[i]) + 0x8000;
        table.setAtIndex(JAVA_SHORT, i, (short) (bits >>> 16));
      }
      driver.copyToDevice(stage.address(), table, table.byteSize(), stream);
      launcher
          .pointer(to)
          .number(random.first())
          .number((long) random.rows() * random.columns())
          .number((long) random.columns())
          .number((long) random.stride())
          .number(random.key())
          .pointer(stage.address())
          .launchAlone("fill_random", Launcher.Grid.of(BLOCKS, THREADS), stream);
      driver.synchronize(stream);
    }
  }

  private void copy(Stored stored, long to) {
    boolean gaps = stored.columns() != stored.stride();
    if (stored.type() == TensorType.BF16 && !gaps) {
      copyWhole(stored, to);
      return;
    }
    int widest = Float.BYTES * stored.columns();
    int rowsAtOnce = Math.clamp(PinnedRing.PART_BYTES / widest, 1, stored.rows());
    for (int row = 0; row < stored.rows(); row += rowsAtOnce) {
      Stored rows = stored.sliceRows(row, Math.min(rowsAtOnce, stored.rows() - row));
      convert(rows, to + 2L * row * stored.columns());
    }
  }

  /** Several threads fill a part: one alone copies slower than the bus. */
  private void copyWhole(Stored stored, long to) {
    long bytes = stored.type().bytes((long) stored.rows() * stored.columns());
    for (long from = 0; from < bytes; from += PinnedRing.PART_BYTES) {
      long first = from;
      int count = (int) Math.min(PinnedRing.PART_BYTES, bytes - from);
      MemorySegment part = ring.take();
      IntStream.range(0, Math.ceilDiv(count, PIECE_BYTES))
          .parallel()
          .forEach(
              piece -> {
                int at = piece * PIECE_BYTES;
                int size = Math.min(PIECE_BYTES, count - at);
                MemorySegment.copy(stored.data(), first + at, part, at, size);
              });
      driver.copyToDevice(to + from, part, count, stream);
      ring.sent(stream);
    }
  }

  private void convert(Stored rows, long to) {
    MemorySegment host = ring.take();
    long rowBytes = rows.type().bytes(rows.columns());
    long fileStride = rows.type().bytes(rows.stride());
    boolean plain = rows.type().blockElements() == 1;
    long hostStride = plain ? rowBytes : (long) Float.BYTES * rows.columns();
    IntStream.range(0, rows.rows())
        .parallel()
        .forEach(
            row -> {
              MemorySegment target = host.asSlice(row * hostStride, hostStride);
              if (plain) {
                MemorySegment.copy(rows.data(), row * fileStride, target, 0, rowBytes);
              } else {
                BlockFormat.widen(
                    rows.type(), rows.data(), row * fileStride, rows.columns(), target);
              }
            });
    long bytes = rows.rows() * hostStride;
    if (rows.type() == TensorType.BF16) {
      driver.copyToDevice(to, host, bytes, stream);
      ring.sent(stream);
      return;
    }
    driver.copyToDevice(stage.address(), host, bytes, stream);
    ring.sent(stream);
    launcher
        .pointer(stage.address())
        .pointer(to)
        .number((long) rows.rows() * rows.columns())
        .launchAlone(
            rows.type() == TensorType.F16 ? "narrow_f16" : "narrow_f32",
            Launcher.Grid.of(BLOCKS, THREADS),
            stream);
  }
}
