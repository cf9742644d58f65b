package io.flotilla.model.layer;

import io.flotilla.checkpoint.WeightSource;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import io.flotilla.kernels.TensorType;
import io.flotilla.kernels.cpu.CpuDevice;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** A device of one thread with weights to load, and the way to and from its tensors. */
final class OneDevice implements AutoCloseable {
  private final CpuDevice device = CpuDevice.openScalar(1);
  private final Stream stream = device.openStream();
  private final WeightSource weights;

  OneDevice(WeightSource weights) {
    this.weights = weights;
  }

  Stream stream() {
    return stream;
  }

  ShardLoader loader() {
    return loader(0, 1);
  }

  ShardLoader loader(int rank, int size) {
    return new ShardLoader(weights, device, stream, new TensorParallel(rank, size));
  }

  /** A matrix on the device. */
  Tensor upload(int rows, int columns, float... values) {
    Tensor tensor = Tensor.allocate(device, TensorType.F32, rows, columns);
    stream.upload(MemorySegment.ofArray(values), tensor.buffer());
    stream.synchronize();
    return tensor;
  }

  /** The elements of an F32 tensor, row by row. */
  float[] download(Tensor tensor) {
    float[] values = new float[tensor.rows() * tensor.columns()];
    try (Arena arena = Arena.ofConfined()) {
      for (int row = 0; row < tensor.rows(); row++) {
        MemorySegment host = arena.allocate(ValueLayout.JAVA_FLOAT_UNALIGNED, tensor.columns());
        stream.download(tensor.sliceRows(row, 1).buffer(), host);
        stream.synchronize();
        MemorySegment.copy(
            host,
            ValueLayout.JAVA_FLOAT_UNALIGNED,
            0,
            values,
            row * tensor.columns(),
            tensor.columns());
      }
    }
    return values;
  }

  @Override
  public void close() {
    stream.close();
    device.close();
    weights.close();
  }
}
