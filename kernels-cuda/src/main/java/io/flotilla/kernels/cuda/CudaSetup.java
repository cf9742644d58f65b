package io.flotilla.kernels.cuda;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Optional;

/**
 * What this process needs before it can open a GPU: the driver, cuBLASLt and the kernels.
 *
 * @param devices how many the driver sees
 * @param overlap whether kernels may start before the one ahead has ended
 */
record CudaSetup(Driver driver, NativeLibrary cublasLt, int devices, boolean overlap) {
  /** Set to false to make kernels wait for each other whole, to find a fault. */
  static final String OVERLAP_PROPERTY = "flotilla.cuda.overlap";

  /** Set to false to run on Hopper what older GPUs run. */
  static final String WARPGROUPS_PROPERTY = "flotilla.cuda.warpgroups";

  static final String NO_KERNELS =
      "this build has no CUDA kernels: install nvcc 13 (package cuda-nvcc-13-0) and build again";
  static final String NO_DEVICE =
      "the driver sees no GPU: check nvidia-smi and CUDA_VISIBLE_DEVICES";

  private static final String KERNELS = "kernels.fatbin";
  private static final int OLDEST_DRIVER = 13000;
  private static final int OLDEST_CAPABILITY = 8;

  /**
   * Looks for everything.
   *
   * @throws IllegalStateException saying in one line what is missing and what to do
   */
  static CudaSetup find() {
    if (!hasKernels()) {
      throw new IllegalStateException(NO_KERNELS);
    }
    Driver driver = openDriver(LibraryPaths.driver());
    requireVersion(driver);
    int devices = driver.start();
    if (devices == 0) {
      throw new IllegalStateException(NO_DEVICE);
    }
    boolean overlap = !"false".equals(System.getProperty(OVERLAP_PROPERTY));
    return new CudaSetup(driver, openCublasLt(LibraryPaths.cublasLt()), devices, overlap);
  }

  /** Whether kernels for compute capability 9.0 may be used where they run. */
  boolean warpgroups() {
    return !"false".equals(System.getProperty(WARPGROUPS_PROPERTY));
  }

  static boolean hasKernels() {
    return CudaSetup.class.getResource(KERNELS) != null;
  }

  static Driver openDriver(List<String> candidates) {
    return new Driver(
        NativeLibrary.open(
            "NVIDIA's driver library",
            candidates,
            "install driver 580 or newer, or name the file with -D"
                + LibraryPaths.DRIVER_PROPERTY));
  }

  static NativeLibrary openCublasLt(List<String> candidates) {
    return NativeLibrary.open(
        "cuBLASLt 13",
        candidates,
        "install it (package libcublas-13-0) or name the file with -D"
            + LibraryPaths.CUBLASLT_PROPERTY);
  }

  static void requireVersion(Driver driver) {
    int version = driver.version();
    if (version < OLDEST_DRIVER) {
      throw new IllegalStateException(
          "NVIDIA's driver runs CUDA %d.%d at most, Flotilla needs 13.0: install driver 580 or newer"
              .formatted(version / 1000, version % 1000 / 10));
    }
  }

  /** Why a device cannot be used, or empty. */
  Optional<String> obstacle(int device) {
    return obstacle(driver, device);
  }

  static Optional<String> obstacle(Driver driver, int device) {
    int major = driver.attribute(device, Driver.COMPUTE_CAPABILITY_MAJOR);
    int minor = driver.attribute(device, Driver.COMPUTE_CAPABILITY_MINOR);
    if (major >= OLDEST_CAPABILITY) {
      return Optional.empty();
    }
    return Optional.of(
        "GPU %d (%s) has compute capability %d.%d, Flotilla needs 8.0 (Ampere) or newer"
            .formatted(device, driver.deviceName(device), major, minor));
  }

  /** The kernels as nvcc built them. */
  MemorySegment kernels(Arena arena) {
    try (InputStream stream = CudaSetup.class.getResourceAsStream(KERNELS)) {
      if (stream == null) {
        throw new IllegalStateException("the CUDA kernels are gone from the jar");
      }
      byte[] bytes = stream.readAllBytes();
      MemorySegment fatbin = arena.allocate(bytes.length, 64);
      MemorySegment.copy(MemorySegment.ofArray(bytes), 0, fatbin, 0, bytes.length);
      return fatbin;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
