package io.flotilla.generation;

import io.flotilla.kernels.Device;
import io.flotilla.kernels.DeviceProvider;
import io.flotilla.kernels.cpu.CpuDevice;
import java.util.Optional;
import java.util.ServiceLoader;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Chooses the device that {@code --device} asks for. */
final class DeviceChoice {
  private static final Logger LOG = LoggerFactory.getLogger(DeviceChoice.class);
  private static final String CPU = "cpu";
  private static final String AUTO = "auto";

  private DeviceChoice() {}

  /**
   * Opens the device.
   *
   * @throws IllegalArgumentException naming the flag, when it cannot be had
   */
  static Device open(EngineOptions options) {
    String wanted = options.device();
    if (wanted.equals(AUTO)) {
      return openBest(options);
    }
    return wanted.equals(CPU) ? openCpu(options) : openOther(wanted, options);
  }

  private static Device openBest(EngineOptions options) {
    if (options.dtype().equals("float32")) {
      LOG.info("The CPU is used, because --dtype is float32");
      return openCpu(options);
    }
    for (DeviceProvider provider : ServiceLoader.load(DeviceProvider.class)) {
      Optional<String> obstacle = provider.obstacle();
      if (obstacle.isEmpty()) {
        return provider.open(0);
      }
      LOG.info("No {} device is used: {}", provider.kind(), obstacle.get());
    }
    return openCpu(options);
  }

  private static Device openCpu(EngineOptions options) {
    if (options.dtype().equals("bfloat16")) {
      throw new IllegalArgumentException(
          "--dtype bfloat16 is for --device cuda; a CPU computes in float32");
    }
    return CpuDevice.open(options.threads());
  }

  private static Device openOther(String wanted, EngineOptions options) {
    if (options.dtype().equals("float32")) {
      throw new IllegalArgumentException(
          "--dtype float32 is for --device cpu; a GPU computes in bfloat16");
    }
    for (DeviceProvider provider : ServiceLoader.load(DeviceProvider.class)) {
      if (provider.kind().equals(wanted)) {
        provider
            .obstacle()
            .ifPresent(
                reason -> {
                  throw new IllegalArgumentException("--device " + wanted + ": " + reason);
                });
        return provider.open(0);
      }
    }
    throw new IllegalArgumentException(
        "--device " + wanted + " is not part of this build: use --device cpu");
  }
}
