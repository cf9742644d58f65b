package io.flotilla.kernels.cuda;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.flotilla.kernels.Device;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import io.flotilla.kernels.TensorType;
import io.flotilla.kernels.cpu.CpuBuffer;
import io.flotilla.kernels.cpu.CpuDevice;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Optional;
import java.util.Random;

/** A GPU and the scalar CPU device that is its oracle, with the same values on both. */
final class DevicePair implements AutoCloseable {
  final Device gpu;
  final Device cpu = CpuDevice.openScalar(0);
  final Stream gpuStream;
  final Stream cpuStream = cpu.openStream();
  private final Random random;

  /** A tensor on both devices: F32 on the CPU, of any type on the GPU. */
  record Pair(Tensor gpu, Tensor cpu) {
    Pair sliceColumns(int from, int count) {
      return new Pair(gpu.sliceColumns(from, count), cpu.sliceColumns(from, count));
    }
  }

  /** Skips the test where there is no GPU. */
  DevicePair(long seed) {
    CudaDeviceProvider provider = new CudaDeviceProvider();
    Optional<String> obstacle = provider.obstacle();
    assumeTrue(obstacle.isEmpty(), () -> "needs a GPU: " + obstacle.orElse(""));
    gpu = provider.open(0);
    gpuStream = gpu.openStream();
    random = new Random(seed);
  }

  /** Normally distributed values that bf16 holds exactly. */
  Pair random(int rows, int columns, TensorType gpuType) {
    float[] values = new float[rows * columns];
    for (int i = 0; i < values.length; i++) {
      values[i] = narrow((float) random.nextGaussian());
    }
    return of(values, rows, columns, gpuType);
  }

  /** Not numbers, so that what is not written shows. */
  Pair poisoned(int rows, int columns, TensorType gpuType) {
    float[] values = new float[rows * columns];
    java.util.Arrays.fill(values, Float.NaN);
    return of(values, rows, columns, gpuType);
  }

  Pair of(float[] values, int rows, int columns, TensorType gpuType) {
    Tensor onCpu = Tensor.allocate(cpu, TensorType.F32, rows, columns);
    MemorySegment.copy(values, 0, memory(onCpu), JAVA_FLOAT, 0, values.length);
    Tensor onGpu = Tensor.allocate(gpu, gpuType, rows, columns);
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment host = arena.allocate(gpuType.bytes(values.length), 16);
      for (int i = 0; i < values.length; i++) {
        if (gpuType == TensorType.F32) {
          host.setAtIndex(JAVA_FLOAT, i, values[i]);
        } else {
          host.setAtIndex(JAVA_SHORT, i, (short) (Float.floatToRawIntBits(values[i]) >>> 16));
        }
      }
      gpuStream.upload(host, onGpu.buffer());
      gpuStream.synchronize();
    }
    return new Pair(onGpu, onCpu);
  }

  Pair integers(int rows, int... values) {
    int columns = values.length / rows;
    Tensor onCpu = Tensor.allocate(cpu, TensorType.I32, rows, columns);
    Tensor onGpu = Tensor.allocate(gpu, TensorType.I32, rows, columns);
    MemorySegment.copy(values, 0, memory(onCpu), JAVA_INT, 0, values.length);
    gpuStream.upload(memory(onCpu), onGpu.buffer());
    gpuStream.synchronize();
    return new Pair(onGpu, onCpu);
  }

  private static MemorySegment memory(Tensor tensor) {
    return ((CpuBuffer) tensor.buffer()).segment();
  }

  /** The nearest number that bf16 holds, ties away from zero. */
  static float narrow(float value) {
    return Float.intBitsToFloat(Float.floatToRawIntBits(value) + 0x8000 & 0xFFFF0000);
  }

  /**
   * {@code |gpu - cpu| / |cpu|} over all elements, or {@code |gpu|} where zeros are wanted; every
   * element must be a number.
   */
  double relativeError(Pair pair) {
    Tensor tensor = pair.gpu;
    double squaredError = 0;
    double squares = 0;
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment host = arena.allocate(tensor.buffer().bytes(), 16);
      gpuStream.download(tensor.buffer(), host);
      gpuStream.synchronize();
      MemorySegment expected = memory(pair.cpu);
      for (int row = 0; row < tensor.rows(); row++) {
        for (int column = 0; column < tensor.columns(); column++) {
          long index = (long) row * tensor.stride() + column;
          float value =
              tensor.type() == TensorType.F32
                  ? host.getAtIndex(JAVA_FLOAT, index)
                  : Float.intBitsToFloat(host.getAtIndex(JAVA_SHORT, index) << 16);
          float wanted = expected.getAtIndex(JAVA_FLOAT, (long) row * pair.cpu.stride() + column);
          double error = value - wanted;
          squaredError += error * error;
          squares += (double) wanted * wanted;
        }
      }
    }
    return Math.sqrt(squares == 0 ? squaredError : squaredError / squares);
  }

  void assertClose(String what, Pair pair) {
    double error = relativeError(pair);
    System.out.printf("%-60s %.2e%n", what, error);
    assertTrue(error < 1e-2, () -> what + ": relative error " + error);
  }

  @Override
  public void close() {
    gpuStream.close();
    gpu.close();
    cpuStream.close();
    cpu.close();
  }
}
