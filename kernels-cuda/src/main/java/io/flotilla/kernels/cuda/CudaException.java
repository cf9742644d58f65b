package io.flotilla.kernels.cuda;

/** A CUDA call failed: the device is lost for this process. */
public final class CudaException extends RuntimeException {
  private static final long serialVersionUID = 1;

  CudaException(String message) {
    super(message);
  }
}
