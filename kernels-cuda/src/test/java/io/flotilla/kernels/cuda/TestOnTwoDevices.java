package io.flotilla.kernels.cuda;

import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.TestInstance;

/** Tests that share a GPU and its oracle; skipped where there is no GPU. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
abstract class TestOnTwoDevices {
  @SuppressWarnings("NullAway.Init")
  DevicePair devices;

  @BeforeAll
  void open() {
    devices = new DevicePair(System.nanoTime());
  }

  @AfterAll
  void close() {
    if (devices != null) {
      devices.close();
    }
  }
}
