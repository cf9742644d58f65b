package io.flotilla.kernels.cuda;

import io.flotilla.kernels.Device;
import io.flotilla.kernels.DeviceProvider;
import io.flotilla.kernels.Finding;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Opens NVIDIA GPUs. */
public final class CudaDeviceProvider implements DeviceProvider {
  private static final Logger LOG = LoggerFactory.getLogger(CudaDeviceProvider.class);

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

  @Override
  public synchronized List<Finding> findings() {
    return new CudaFindings(LibraryPaths.driver(), LibraryPaths.cublasLt()).all();
  }

  @Override
  public synchronized Device open(int ordinal) {
    CudaSetup found = setup();
    if (ordinal < 0 || ordinal >= found.devices()) {
      throw new IllegalArgumentException(
          "there is no GPU " + ordinal + ": the driver sees " + found.devices());
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
    return new CudaDevice(found, ordinal);
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
