package io.flotilla.kernels.cuda;

import io.flotilla.kernels.Device;
import io.flotilla.kernels.DeviceProvider;
import io.flotilla.kernels.Finding;
import io.flotilla.kernels.Interconnect;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Opens NVIDIA GPUs. */
public final class CudaDeviceProvider implements DeviceProvider {
  private static final Logger LOG = LoggerFactory.getLogger(CudaDeviceProvider.class);

  /** Of NVIDIA's kernel module, and of the Windows Subsystem for Linux. */
  private static final List<String> CONTROL_DEVICES = List.of("/dev/nvidiactl", "/dev/dxg");

  private final Map<Integer, AtomicInteger> sharers = new HashMap<>();
  private @Nullable CudaSetup setup;

  /** For {@link java.util.ServiceLoader}. */
  public CudaDeviceProvider() {}

  @Override
  public String kind() {
    return "cuda";
  }

  @Override
  public synchronized Optional<String> obstacle() {
    try {
      return setup().obstacle(0);
    } catch (IllegalStateException | CudaException e) {
      return Optional.of(String.valueOf(e.getMessage()));
    }
  }

  /** A driver that was named counts, whatever it drives. */
  @Override
  public boolean isPresent() {
    return System.getProperty(LibraryPaths.DRIVER_PROPERTY) != null
        || CONTROL_DEVICES.stream().anyMatch(device -> Files.exists(Path.of(device)));
  }

  @Override
  public Device open(int ordinal) {
    return openGpu(ordinal);
  }

  private synchronized CudaDevice openGpu(int ordinal) {
    CudaSetup found = setup();
    if (ordinal < 0 || ordinal >= found.devices()) {
      throw new IllegalArgumentException(
          "there is no GPU %d: the driver sees %d; name others with --device-ids"
              .formatted(ordinal, found.devices()));
    }
    found
        .obstacle(ordinal)
        .ifPresent(
            reason -> {
              throw new IllegalStateException(reason);
            });
    LOG.info(
        "CUDA: driver {} (CUDA {}), cuBLASLt {}",
        found.driver().path(),
        found.driver().version(),
        found.cublasLt().path());
    return new CudaDevice(
        found, ordinal, sharers.computeIfAbsent(ordinal, _ -> new AtomicInteger()));
  }

  @Override
  public List<Finding> examine() {
    return CudaExamination.ofThisMachine().findings();
  }

  @Override
  public void timeKernels(int ordinal, List<String> sections, Consumer<String> table) {
    try (CudaDevice device = openGpu(ordinal)) {
      KernelTimes.run(device, sections, table);
    }
  }

  @Override
  public Interconnect interconnect() {
    return new CudaInterconnect();
  }

  private CudaSetup setup() {
    CudaSetup current = setup;
    if (current == null) {
      current = CudaSetup.find();
      setup = current;
    }
    return current;
  }
}
