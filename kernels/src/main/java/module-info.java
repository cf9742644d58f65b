/** Arithmetic and device memory: tensors, devices, streams and the operations on them. */
module io.flotilla.kernels {
  requires static transitive org.jspecify;
  requires org.slf4j;
  requires static jdk.incubator.vector;

  exports io.flotilla.kernels;
  exports io.flotilla.kernels.cpu;
}
