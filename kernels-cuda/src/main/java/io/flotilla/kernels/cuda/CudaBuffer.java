package io.flotilla.kernels.cuda;

import io.flotilla.kernels.Buffer;
import io.flotilla.kernels.Tensor;
import java.util.Objects;

/** Memory of a GPU. */
record CudaBuffer(long address, long bytes) implements Buffer {
  @Override
  public CudaBuffer slice(long offset, long length) {
    Objects.checkFromIndexSize(offset, length, bytes);
    return new CudaBuffer(address + offset, length);
  }

  static long address(Buffer buffer) {
    return ((CudaBuffer) buffer).address();
  }

  /** The address of a tensor's first element. */
  static long address(Tensor tensor) {
    return address(tensor.buffer());
  }
}
