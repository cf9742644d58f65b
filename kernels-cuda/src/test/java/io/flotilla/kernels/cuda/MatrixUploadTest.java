package io.flotilla.kernels.cuda;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;
import static org.assertj.core.api.Assertions.assertThat;

import io.flotilla.kernels.MatrixSource;
import io.flotilla.kernels.MatrixSource.Stored;
import io.flotilla.kernels.Tensor;
import io.flotilla.kernels.TensorType;
import io.flotilla.kernels.cpu.BlockFormat;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What a GPU holds of stored matrices of every type, against their values on the host. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class MatrixUploadTest {
  private static final int COLUMNS = 2048;
  private static final int STRIDE = 2304;

  @SuppressWarnings("NullAway.Init")
  private DevicePair devices;

  @BeforeAll
  void open() {
    devices = new DevicePair(1);
  }

  @AfterAll
  void close() {
    if (devices != null) {
      devices.close();
    }
  }

  /** Larger than the ring, so that parts of it are filled again. */
  @ParameterizedTest
  @EnumSource(mode = EnumSource.Mode.EXCLUDE, names = "I32")
  void bringsWholeMatricesAndSomeColumns(TensorType type) {
    int rows = 20_000;
    try (Arena arena = Arena.ofShared()) {
      Stored whole = stored(arena, type, rows, COLUMNS, COLUMNS);
      Stored some = stored(arena, type, 3_000, COLUMNS, STRIDE);
      List<Tensor> loaded = devices.gpu.load(List.<MatrixSource>of(whole, some));
      assertEqual(whole, loaded.get(0));
      assertEqual(some, loaded.get(1));
    }
  }

  /** Random bits; scales, where there are any, small numbers. */
  private static Stored stored(Arena arena, TensorType type, int rows, int columns, int stride) {
    MemorySegment data = arena.allocate(type.bytes((long) rows * stride), 64);
    Random random = new Random(type.blockBytes());
    byte[] bytes = new byte[1 << 16];
    random.nextBytes(bytes);
    for (long at = 0; at < data.byteSize(); at++) {
      // An odd step, so that rows differ; exponents neither infinite nor subnormal.
      byte value = bytes[(int) (at * 7 % 65_521)];
      boolean exponent =
          type.blockElements() > 1 || at % type.blockBytes() == type.blockBytes() - 1;
      data.set(JAVA_BYTE, at, exponent ? (byte) ((value & 0x3B) | 0x10) : value);
    }
    return new Stored(data, type, rows, columns, stride);
  }

  private void assertEqual(Stored wanted, Tensor tensor) {
    assertThat(tensor.type()).isEqualTo(TensorType.BF16);
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment host = arena.allocate(tensor.buffer().bytes(), 64);
      devices.gpuStream.download(tensor.buffer(), host);
      devices.gpuStream.synchronize();
      MemorySegment row = arena.allocate((long) COLUMNS * Float.BYTES, 64);
      int wrong = 0;
      for (int r = 0; r < wanted.rows(); r++) {
        long from = wanted.type().bytes((long) r * wanted.stride());
        BlockFormat.widen(wanted.type(), wanted.data(), from, COLUMNS, row);
        for (int c = 0; c < COLUMNS; c++) {
          float expected = row.getAtIndex(JAVA_FLOAT, c);
          int bits = host.getAtIndex(JAVA_SHORT, (long) r * COLUMNS + c) << 16;
          float found = Float.intBitsToFloat(bits);
          wrong += Math.abs(found - expected) <= Math.abs(expected) / 256 ? 0 : 1;
        }
      }
      assertThat(wrong).as("wrong elements of %s", wanted).isZero();
    }
  }
}
