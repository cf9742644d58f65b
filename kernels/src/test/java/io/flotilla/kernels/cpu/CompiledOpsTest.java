package io.flotilla.kernels.cpu;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import org.junit.jupiter.api.BeforeAll;

/** The operations in C, where there are any. */
class CompiledOpsTest extends TiledOpsTest {
  @BeforeAll
  static void findLibrary() {
    assumeTrue(CompiledLibrary.found() != null, "no kernels were compiled for this processor");
  }

  @Override
  CpuDevice open(int threads) {
    return CpuDevice.open(threads);
  }
}
