package io.flotilla.kernels.cuda;

import io.flotilla.kernels.Finding;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * Looks for all that a GPU needs, and goes on after what is missing as far as that makes sense.
 *
 * @param driverPaths where the driver is looked for
 * @param cublasLtPaths where cuBLASLt is looked for
 */
record CudaExamination(List<String> driverPaths, List<String> cublasLtPaths) {
  private static final Path KERNEL_MODULE = Path.of("/sys/module/nvidia/version");
  private static final double GIB = 1L << 30;

  static CudaExamination ofThisMachine() {
    return new CudaExamination(LibraryPaths.driver(), LibraryPaths.cublasLt());
  }

  List<Finding> findings() {
    List<Finding> findings = new ArrayList<>();
    findings.add(kernels());
    findings.add(cublasLt());
    try {
      Driver driver = CudaSetup.openDriver(driverPaths);
      findings.add(driver(driver));
      int devices = driver.start();
      findings.add(
          devices == 0
              ? missing("GPUs", CudaSetup.NO_DEVICE)
              : Finding.good("GPUs", String.valueOf(devices)));
      for (int device = 0; device < devices; device++) {
        findings.add(device(driver, device));
      }
      links(driver, devices, findings);
    } catch (IllegalStateException | CudaException e) {
      findings.add(missing("NVIDIA driver", String.valueOf(e.getMessage())));
    }
    return findings;
  }

  private static Finding kernels() {
    return CudaSetup.hasKernels()
        ? Finding.good("CUDA kernels", "in this build")
        : missing("CUDA kernels", CudaSetup.NO_KERNELS);
  }

  private Finding cublasLt() {
    try {
      NativeLibrary library = CudaSetup.openCublasLt(cublasLtPaths);
      int version = library.call("cublasLtGetVersion");
      return Finding.good(
          "cuBLASLt",
          "%d.%d.%d, %s"
              .formatted(version / 10000, version / 100 % 100, version % 100, library.path()));
    } catch (IllegalStateException e) {
      return missing("cuBLASLt", String.valueOf(e.getMessage()));
    }
  }

  private static Finding driver(Driver driver) {
    int version = driver.version();
    String found =
        "%sCUDA %d.%d, %s"
            .formatted(moduleVersion(), version / 1000, version % 1000 / 10, driver.path());
    try {
      CudaSetup.requireVersion(driver);
      return Finding.good("NVIDIA driver", found);
    } catch (IllegalStateException e) {
      return new Finding("NVIDIA driver", found, e.getMessage());
    }
  }

  private static String moduleVersion() {
    try {
      return Files.isReadable(KERNEL_MODULE) ? Files.readString(KERNEL_MODULE).strip() + ", " : "";
    } catch (IOException e) {
      return "";
    }
  }

  private static Finding device(Driver driver, int device) {
    String found =
        "%s, compute capability %d.%d, %.1f GiB, %d multiprocessors"
            .formatted(
                driver.deviceName(device),
                driver.attribute(device, Driver.COMPUTE_CAPABILITY_MAJOR),
                driver.attribute(device, Driver.COMPUTE_CAPABILITY_MINOR),
                driver.totalMemory(device) / GIB,
                driver.attribute(device, Driver.MULTIPROCESSORS));
    return new Finding("GPU " + device, found, CudaSetup.obstacle(driver, device).orElse(null));
  }

  /** Which GPUs read each other's memory; layouts of several GPUs need that. */
  private static void links(Driver driver, int devices, List<Finding> findings) {
    for (int device = 0; device < devices; device++) {
      List<String> reached = new ArrayList<>();
      for (int peer = 0; peer < devices; peer++) {
        if (peer != device && driver.canReach(device, peer)) {
          reached.add(String.valueOf(peer));
        }
      }
      if (devices > 1) {
        findings.add(
            Finding.good(
                "GPU " + device + " reads",
                reached.isEmpty()
                    ? "no other GPU's memory: it cannot share a model"
                    : "the memory of GPU " + String.join(", ", reached)));
      }
    }
  }

  /** Messages of this module end with what to do. */
  private static Finding missing(String what, String message) {
    int border = Math.max(message.lastIndexOf("; "), message.lastIndexOf(": "));
    return border < 0
        ? new Finding(what, message, "see docs/adr/0005-cuda.md for what a GPU needs")
        : new Finding(what, message.substring(0, border), message.substring(border + 2));
  }
}
