package io.flotilla.executor;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.net.URISyntaxException;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Objects;

/** Where the models of the tests lie. */
final class ModelFiles {
  private ModelFiles() {}

  /**
   * A model of that name: {@code pocket}, {@code smollm2} (skips the test where it is absent), or a
   * tiny random one of the test resources.
   */
  static Path path(String name) {
    return switch (name) {
      case "pocket" -> Path.of(System.getProperty("flotilla.root"), "models", "pocket");
      case "smollm2" -> smollm2();
      default -> tiny(name);
    };
  }

  private static Path smollm2() {
    Path file =
        Path.of(
            System.getProperty("flotilla.shared"),
            "models/smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf");
    assumeTrue(Files.exists(file), "the shared models are not on this machine");
    return file;
  }

  private static Path tiny(String name) {
    URL config = ModelFiles.class.getResource(name + "/config.json");
    try {
      return Objects.requireNonNull(
          Path.of(Objects.requireNonNull(config, name).toURI()).getParent());
    } catch (URISyntaxException e) {
      throw new IllegalStateException(e);
    }
  }
}
