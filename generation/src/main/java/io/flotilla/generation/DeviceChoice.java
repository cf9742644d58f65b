package io.flotilla.generation;

import io.flotilla.checkpoint.ModelConfig;
import io.flotilla.kernels.Device;
import io.flotilla.kernels.DeviceProvider;
import io.flotilla.kernels.cpu.CpuDevice;
import io.flotilla.kernels.cpu.CpuShare;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.ServiceLoader;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Chooses the devices of the ranks, as {@code --device} asks.
 *
 * @param config of the model they are for
 */
record DeviceChoice(EngineOptions options, ModelConfig config) {
  private static final Logger LOG = LoggerFactory.getLogger(DeviceChoice.class);
  private static final String CPU = "cpu";
  private static final String AUTO = "auto";

  /**
   * Opens a device for each rank.
   *
   * @throws IllegalArgumentException naming the flag, when they cannot be had
   */
  List<Device> open(int ranks) {
    String wanted = options.device();
    if (wanted.equals(CPU)) {
      return openCpu(ranks);
    }
    return wanted.equals(AUTO) ? openBest(ranks) : List.of(openOther(wanted, ranks));
  }

  private List<Device> openBest(int ranks) {
    for (DeviceProvider provider : ServiceLoader.load(DeviceProvider.class)) {
      Optional<String> obstacle = obstacle(ranks).or(provider::obstacle);
      if (obstacle.isEmpty()) {
        return List.of(opened(provider));
      }
      LOG.info("No {} device is used: {}", provider.kind(), obstacle.get());
    }
    return openCpu(ranks);
  }

  private Device openOther(String wanted, int ranks) {
    for (DeviceProvider provider : ServiceLoader.load(DeviceProvider.class)) {
      if (provider.kind().equals(wanted)) {
        obstacle(ranks)
            .or(provider::obstacle)
            .ifPresent(
                reason -> {
                  throw new IllegalArgumentException("--device " + wanted + ": " + reason);
                });
        return opened(provider);
      }
    }
    throw new IllegalArgumentException(
        "--device " + wanted + " is not part of this build: use --device cpu");
  }

  /** What of the options or the model only a CPU can do. */
  private Optional<String> obstacle(int ranks) {
    if (options.dtype().equals("float32")) {
      return Optional.of("--dtype is float32, and a GPU computes in bfloat16");
    }
    if (options.topology().prefillContext() > 1 || options.topology().decodeContext() > 1) {
      return Optional.of("-pcp and -dcp spread a context over CPU cores alone");
    }
    if (ranks > 1) {
      return Optional.of("the model is split over ranks, and a GPU runs it whole");
    }
    if (config.experts() != null) {
      return Optional.of("the model has experts, which a GPU does not mix yet");
    }
    return Optional.empty();
  }

  private static Device opened(DeviceProvider provider) {
    Device device = provider.open(0);
    LOG.info("Runs on {}", device.name());
    return device;
  }

  private List<Device> openCpu(int ranks) {
    if (options.dtype().equals("bfloat16")) {
      throw new IllegalArgumentException(
          "--dtype bfloat16 is for --device cuda; a CPU computes in float32");
    }
    List<CpuShare> shares =
        CpuShare.divide(
            ranks,
            options.threads(),
            options.placement().coresPerRank(),
            options.placement().oversubscribe());
    if (shares.getFirst().oversubscribed()) {
      LOG.warn(
          "{} ranks of {} threads each share the cores of this machine, which is slow",
          ranks,
          shares.getFirst().threads());
    }
    List<Device> devices = new ArrayList<>();
    for (CpuShare share : shares) {
      devices.add(CpuDevice.open(share));
    }
    return devices;
  }
}
