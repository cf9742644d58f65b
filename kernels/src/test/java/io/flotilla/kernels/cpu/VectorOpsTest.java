package io.flotilla.kernels.cpu;

/** The operations on the Vector API. */
class VectorOpsTest extends TiledOpsTest {
  @Override
  CpuDevice open(int threads) {
    return CpuDevice.openVector(threads);
  }
}
