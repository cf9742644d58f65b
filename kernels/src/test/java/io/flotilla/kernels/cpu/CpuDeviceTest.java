package io.flotilla.kernels.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.flotilla.kernels.AttentionShape;
import io.flotilla.kernels.Buffer;
import io.flotilla.kernels.KvCache;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import io.flotilla.kernels.TensorType;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CpuDeviceTest {
  @Test
  void allocatesZerosAlignedToSixtyFourBytes() {
    try (CpuDevice device = CpuDevice.openScalar(1)) {
      for (int bytes : new int[] {0, 1, 13, 64, 207, 4098}) {
        MemorySegment memory = NativeMemory.segment(device.allocate(bytes));
        assertThat(memory.byteSize()).isEqualTo(bytes);
        assertThat(memory.address() % 64).isZero();
        assertThat(memory.toArray(ValueLayout.JAVA_BYTE)).containsOnly(new byte[bytes]);
        memory.fill((byte) 1);
      }
    }
  }

  @Test
  void namesTheBytesWhenMemoryRunsOut() {
    try (CpuDevice device = CpuDevice.openScalar(1)) {
      long bytes = 1L << 60;
      assertThatThrownBy(() -> device.allocate(bytes))
          .isInstanceOf(OutOfMemoryError.class)
          .hasMessageContaining("cpu (1 thread, scalar) cannot allocate " + bytes + " bytes");
    }
  }

  @Test
  void freesItsMemoryWhenClosed() {
    CpuDevice device = CpuDevice.openScalar(2);
    MemorySegment memory = NativeMemory.segment(device.allocate(8));
    device.close();
    assertThatThrownBy(() -> memory.get(ValueLayout.JAVA_BYTE, 0))
        .isInstanceOf(IllegalStateException.class);
  }

  @Test
  void mapsAFileWhereItLies(@TempDir Path folder) throws IOException {
    Path file = Files.write(folder.resolve("weights"), new byte[] {0, 1, 2, 3, 4});
    try (CpuDevice device = CpuDevice.openScalar(1);
        Arena arena = Arena.ofShared();
        FileChannel channel = FileChannel.open(file)) {
      MemorySegment mapped = channel.map(FileChannel.MapMode.READ_ONLY, 0, 5, arena).asSlice(1);
      MemorySegment seen = NativeMemory.segment(device.map(mapped).slice(1, 3));
      assertThat(seen.address()).isEqualTo(mapped.address() + 1);
      assertThat(seen.toArray(ValueLayout.JAVA_BYTE)).containsExactly(2, 3, 4);
    }
  }

  @Test
  void refusesToMapTheHeap() {
    try (CpuDevice device = CpuDevice.openScalar(1)) {
      MemorySegment heap = MemorySegment.ofArray(new byte[4]);
      assertThatThrownBy(() -> device.map(heap))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("upload");
    }
  }

  @Test
  void streamCopiesInBothDirections() {
    try (CpuDevice device = CpuDevice.openScalar(1);
        Stream stream = device.openStream()) {
      Buffer buffer = device.allocate(4);
      byte[] result = new byte[4];
      stream.upload(MemorySegment.ofArray(new byte[] {1, 2, 3}), buffer.slice(1, 3));
      stream.download(buffer, MemorySegment.ofArray(result));
      stream.synchronize();
      assertThat(result).containsExactly(0, 1, 2, 3);
    }
  }

  @Test
  void streamRefusesWhatDoesNotFit() {
    try (CpuDevice device = CpuDevice.openScalar(1);
        Stream stream = device.openStream()) {
      Buffer buffer = device.allocate(4);
      MemorySegment five = MemorySegment.ofArray(new byte[5]);
      MemorySegment three = MemorySegment.ofArray(new byte[3]);
      assertThatThrownBy(() -> stream.upload(five, buffer))
          .isInstanceOf(IndexOutOfBoundsException.class);
      assertThatThrownBy(() -> stream.download(buffer, three))
          .isInstanceOf(IndexOutOfBoundsException.class);
    }
  }

  @Test
  void aCacheTakesAsManyBytesAsItsBlocks() {
    AttentionShape shape = new AttentionShape(6, 3, 8);
    try (CpuDevice device = CpuDevice.openScalar(1)) {
      assertThat(device.kvBlockBytes(shape, 16)).isEqualTo(2 * 3 * 16 * 8 * 4);
      KvCache cache = device.allocateKvCache(shape, 5, 16);
      assertThat(cache.keys().bytes() + cache.values().bytes())
          .isEqualTo(5 * device.kvBlockBytes(shape, 16));
      assertThat(cache.blocks()).isEqualTo(5);
    }
  }

  @Test
  void aCacheTooLargeForALongIsRefused() {
    AttentionShape shape = new AttentionShape(1 << 15, 1 << 15, 1 << 15);
    try (CpuDevice device = CpuDevice.openScalar(1)) {
      assertThatThrownBy(() -> device.allocateKvCache(shape, Integer.MAX_VALUE, 1 << 10))
          .isInstanceOf(ArithmeticException.class);
    }
  }

  @Test
  void nameTellsThreadsAndOperations() {
    int processors = Runtime.getRuntime().availableProcessors();
    try (CpuDevice scalar = CpuDevice.openScalar(3);
        CpuDevice best = CpuDevice.open(0)) {
      assertThat(scalar.name()).isEqualTo("cpu (3 threads, scalar)");
      assertThat(scalar.ops()).isInstanceOf(ScalarOps.class);
      assertThat(best.name()).startsWith("cpu (" + processors + " thread");
    }
    assertThatThrownBy(() -> CpuDevice.open(-1)).isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void progressGrowsWithEachOperation() {
    try (CpuDevice device = CpuDevice.openScalar(1);
        Stream stream = device.openStream()) {
      Tensor x = Tensor.allocate(device, TensorType.F32, 3, 4);
      Tensor out = Tensor.allocate(device, TensorType.F32, 3, 2);
      assertThat(device.progress()).isZero();
      device.ops().siluMultiply(stream, x, out);
      assertThat(device.progress()).isEqualTo(3);
    }
  }
}
