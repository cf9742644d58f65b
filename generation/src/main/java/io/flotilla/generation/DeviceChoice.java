package io.flotilla.generation;

import io.flotilla.kernels.Device;
import io.flotilla.kernels.DeviceProvider;
import io.flotilla.kernels.Interconnect;
import io.flotilla.kernels.cpu.CpuDevice;
import io.flotilla.kernels.cpu.CpuInterconnect;
import io.flotilla.kernels.cpu.CpuShare;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.ServiceLoader;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Chooses the devices of the ranks, as {@code --device} asks. */
record DeviceChoice(EngineOptions options) {
  private static final Logger LOG = LoggerFactory.getLogger(DeviceChoice.class);
  static final String CPU = "cpu";
  private static final String AUTO = "auto";

  /**
   * The device of each rank, and what joins them.
   *
   * @param ranksOnOne ranks that share a device's memory, where it is not the host's
   */
  record Chosen(List<Device> devices, Interconnect interconnect, int ranksOnOne) {}

  /**
   * Opens a device for each rank.
   *
   * @throws IllegalArgumentException naming the flag, when they cannot be had
   */
  Chosen open(int ranks) {
    List<Integer> ids = options.placement().deviceIds();
    if (!ids.isEmpty() && ids.size() != ranks) {
      throw new IllegalArgumentException(
          "--device-ids names %d devices for %d ranks (-pp x -pcp x -tp)"
              .formatted(ids.size(), ranks));
    }
    String wanted = options.device();
    if (wanted.equals(CPU)) {
      return openCpu(ranks);
    }
    return wanted.equals(AUTO) ? openBest(ranks) : openOther(wanted, ranks);
  }

  private Chosen openBest(int ranks) {
    for (DeviceProvider provider : ServiceLoader.load(DeviceProvider.class)) {
      Optional<String> obstacle = obstacle().or(provider::obstacle);
      if (obstacle.isEmpty()) {
        return opened(provider, ranks);
      }
      LOG.info("No {} device is used: {}", provider.kind(), obstacle.get());
    }
    return openCpu(ranks);
  }

  private Chosen openOther(String wanted, int ranks) {
    for (DeviceProvider provider : ServiceLoader.load(DeviceProvider.class)) {
      if (provider.kind().equals(wanted)) {
        obstacle()
            .or(provider::obstacle)
            .ifPresent(
                reason -> {
                  throw new IllegalArgumentException("--device " + wanted + ": " + reason);
                });
        return opened(provider, ranks);
      }
    }
    throw new IllegalArgumentException(
        "--device " + wanted + " is not part of this build: use --device cpu");
  }

  /**
   * Whether a server is to run the replica in a process of its own: where it may get a GPU, a fault
   * of which takes its process along, and can be mended by a new process alone.
   */
  boolean needsOwnProcess() {
    if (options.device().equals(CPU)) {
      return false;
    }
    boolean present =
        ServiceLoader.load(DeviceProvider.class).stream()
            .anyMatch(found -> found.get().isPresent());
    return present && (!options.device().equals(AUTO) || obstacle().isEmpty());
  }

  /** What of the options only a CPU can do. */
  private Optional<String> obstacle() {
    if (options.dtype().equals("float32")) {
      return Optional.of("--dtype is float32, and a GPU computes in bfloat16");
    }
    return Optional.empty();
  }

  private Chosen opened(DeviceProvider provider, int ranks) {
    List<Integer> ids = options.placement().deviceIds();
    List<Device> devices = new ArrayList<>();
    int most = 1;
    try {
      for (int rank = 0; rank < ranks; rank++) {
        int id = ids.isEmpty() ? rank : ids.get(rank);
        devices.add(provider.open(id));
        LOG.info("Runs on {}", devices.getLast().name());
        most = Math.max(most, Collections.frequency(ids, id));
      }
    } finally {
      if (devices.size() < ranks) {
        devices.forEach(Device::close);
      }
    }
    return new Chosen(List.copyOf(devices), provider.interconnect(), most);
  }

  private Chosen openCpu(int ranks) {
    if (!options.placement().deviceIds().isEmpty()) {
      throw new IllegalArgumentException("--device-ids names GPUs, and the model runs on a CPU");
    }
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
    return new Chosen(List.copyOf(devices), new CpuInterconnect(), 1);
  }
}
