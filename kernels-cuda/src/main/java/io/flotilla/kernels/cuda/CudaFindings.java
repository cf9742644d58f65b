package io.flotilla.kernels.cuda;

import io.flotilla.kernels.Finding;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Supplier;

/** Looks for all that a GPU needs, and goes on where something is missing. */
final class CudaFindings {
  private static final double GIB = 1L << 30;

  private final List<String> driverCandidates;
  private final List<String> cublasLtCandidates;
  private final List<Finding> findings = new ArrayList<>();

  CudaFindings(List<String> driverCandidates, List<String> cublasLtCandidates) {
    this.driverCandidates = driverCandidates;
    this.cublasLtCandidates = cublasLtCandidates;
  }

  List<Finding> all() {
    look(
        "kernels",
        () -> {
          CudaSetup.requireKernels();
          return "machine code for compute capability 9.0, PTX for 8.0 and newer";
        });
    look(
        "cuBLASLt",
        () -> {
          NativeLibrary library = CudaSetup.openCublasLt(cublasLtCandidates);
          int version = library.call("cublasLtGetVersion");
          return "%s, version %d.%d.%d"
              .formatted(library.file(), version / 10000, version % 10000 / 100, version % 100);
        });
    look(
        "driver",
        () -> {
          Driver driver = CudaSetup.openDriver(driverCandidates);
          int version = driver.version();
          return "%s, runs CUDA %d.%d"
              .formatted(driver.file(), version / 1000, version % 1000 / 10);
        });
    if (findings.getLast().serves()) {
      lookForDevices(CudaSetup.openDriver(driverCandidates));
    }
    return List.copyOf(findings);
  }

  private void lookForDevices(Driver driver) {
    int[] devices = {0};
    look(
        "devices",
        () -> {
          devices[0] = CudaSetup.requireDevices(driver);
          return String.valueOf(devices[0]);
        });
    for (int device = 0; device < devices[0]; device++) {
      lookAt(driver, device);
    }
    for (int device = 0; device < devices[0]; device++) {
      for (int peer = device + 1; peer < devices[0]; peer++) {
        String link = link(driver, device, peer);
        findings.add(new Finding("link %d - %d".formatted(device, peer), link, true));
      }
    }
  }

  private void lookAt(Driver driver, int device) {
    String name = "device " + device;
    Optional<String> obstacle = CudaSetup.obstacle(driver, device);
    if (obstacle.isPresent()) {
      findings.add(new Finding(name, obstacle.get(), false));
      return;
    }
    look(
        name,
        () ->
            "%s, %.1f GiB, compute capability %d.%d, %d multiprocessors"
                .formatted(
                    driver.deviceName(device),
                    driver.totalMemory(device) / GIB,
                    driver.attribute(device, Driver.COMPUTE_CAPABILITY_MAJOR),
                    driver.attribute(device, Driver.COMPUTE_CAPABILITY_MINOR),
                    driver.attribute(device, Driver.MULTIPROCESSORS)));
  }

  private static String link(Driver driver, int device, int peer) {
    if (!driver.canAccess(device, peer) || !driver.canAccess(peer, device)) {
      return "none: what passes between them goes through the host";
    }
    return driver.hasAtomicLink(device, peer)
        ? "peer to peer, with atomics (NVLink)"
        : "peer to peer, without atomics (PCIe)";
  }

  private void look(String what, Supplier<String> search) {
    try {
      findings.add(new Finding(what, search.get(), true));
    } catch (IllegalStateException | CudaException e) {
      findings.add(new Finding(what, String.valueOf(e.getMessage()), false));
    }
  }
}
