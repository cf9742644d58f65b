package io.flotilla.generation;

import io.flotilla.generation.Machine.Speed;
import io.flotilla.kernels.Device;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import io.flotilla.kernels.TensorType;
import java.time.Duration;
import java.util.List;

/** Measures a CPU by the products that steps are made of: one row for reading, many to multiply. */
final class MeasuredSpeed {
  /** Far more than caches hold. */
  private static final int LARGE_ROWS = 64 << 10;

  private static final int COLUMNS = 2048;
  private static final int CACHED_ROWS = 256;
  private static final int BATCH = 128;
  private static final long NANOS = Duration.ofMillis(700).toNanos();

  private final Device device;
  private final Stream stream;

  private MeasuredSpeed(Device device, Stream stream) {
    this.device = device;
    this.stream = stream;
  }

  /** Takes two seconds; memory goes with the device. */
  static Speed of(Device device) {
    try (Stream stream = device.openStream()) {
      return new MeasuredSpeed(device, stream).measure();
    }
  }

  private Speed measure() {
    Tensor large = Tensor.allocate(device, TensorType.BF16, LARGE_ROWS, COLUMNS);
    Tensor cached = large.sliceRows(0, CACHED_ROWS);
    double read = large.buffer().bytes() / seconds(product(large, 1));
    double products = (double) BATCH * CACHED_ROWS * COLUMNS / seconds(product(cached, BATCH));
    // Between ranks of one process bytes are read and written once.
    return new Speed(read, read / 2, products);
  }

  private Runnable product(Tensor matrix, int rows) {
    Tensor in = Tensor.allocate(device, TensorType.F32, rows, COLUMNS);
    Tensor out = Tensor.allocate(device, TensorType.F32, rows, matrix.rows());
    return () -> device.ops().linear(stream, in, List.of(matrix), null, out);
  }

  /** The shortest of many times. */
  private static double seconds(Runnable work) {
    long best = Long.MAX_VALUE;
    long end = System.nanoTime() + NANOS;
    for (long start = System.nanoTime(); start < end; start = System.nanoTime()) {
      work.run();
      best = Math.min(best, System.nanoTime() - start);
    }
    return best / 1e9;
  }
}
