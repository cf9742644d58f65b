/** The CUDA device, found as a service. */
module io.flotilla.kernels.cuda {
  requires static transitive org.jspecify;
  requires org.slf4j;
  requires io.flotilla.kernels;

  provides io.flotilla.kernels.DeviceProvider with
      io.flotilla.kernels.cuda.CudaDeviceProvider;
}
