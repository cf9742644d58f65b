package io.flotilla.cli.serve;

import io.flotilla.cli.option.UsageException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/** The toy model in the archive, which makes the first command work without a network. */
final class BundledModel {
  static final String NAME = "pocket";

  private BundledModel() {}

  /**
   * @param home the archive's folder, or null where Flotilla was not started from one
   * @throws UsageException when it is not there
   */
  static Path find(@Nullable String home) {
    if (home != null) {
      Path folder = Path.of(home, "models", NAME);
      if (Files.isDirectory(folder)) {
        return folder;
      }
    }
    throw new UsageException(
        "there is no bundled model here: name one, as in flotilla serve Qwen/Qwen3-0.6B");
  }
}
