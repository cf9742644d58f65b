package io.flotilla.kernels.cuda;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Where libraries are looked for, in this order: what the property names; for the driver, its name
 * alone (the system's linker knows it) and the folders that drivers are installed to; for cuBLASLt,
 * the folders of CUDA_HOME and CUDA_PATH, those of /usr/local/cuda*, and its name alone.
 */
final class LibraryPaths {
  /** Names the driver's library file. */
  static final String DRIVER_PROPERTY = "flotilla.cuda.driver";

  /** Names cuBLASLt's library file. */
  static final String CUBLASLT_PROPERTY = "flotilla.cuda.cublaslt";

  private static final String DRIVER = "libcuda.so.1";
  private static final String CUBLASLT = "libcublasLt.so.13";

  private LibraryPaths() {}

  static List<String> driver() {
    String named = System.getProperty(DRIVER_PROPERTY);
    if (named != null) {
      return List.of(named);
    }
    return List.of(
        DRIVER,
        "/usr/lib/x86_64-linux-gnu/" + DRIVER,
        "/usr/lib64/" + DRIVER,
        "/usr/local/nvidia/lib64/" + DRIVER,
        "/usr/lib/wsl/lib/" + DRIVER);
  }

  static List<String> cublasLt() {
    String named = System.getProperty(CUBLASLT_PROPERTY);
    if (named != null) {
      return List.of(named);
    }
    List<String> candidates = new ArrayList<>();
    addToolkit(candidates, System.getenv("CUDA_HOME"));
    addToolkit(candidates, System.getenv("CUDA_PATH"));
    for (Path toolkit : installedToolkits()) {
      addToolkit(candidates, toolkit.toString());
    }
    candidates.add("/usr/lib/x86_64-linux-gnu/" + CUBLASLT);
    candidates.add(CUBLASLT);
    return candidates;
  }

  private static void addToolkit(List<String> candidates, @Nullable String home) {
    if (home != null) {
      candidates.add(home + "/lib64/" + CUBLASLT);
      candidates.add(home + "/targets/x86_64-linux/lib/" + CUBLASLT);
    }
  }

  private static List<Path> installedToolkits() {
    Path folder = Path.of("/usr/local");
    if (!Files.isDirectory(folder)) {
      return List.of();
    }
    List<Path> found = new ArrayList<>();
    try (DirectoryStream<Path> toolkits = Files.newDirectoryStream(folder, "cuda*")) {
      toolkits.forEach(found::add);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    found.sort(null);
    return found;
  }
}
