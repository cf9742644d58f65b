package io.flotilla.tokenizer;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.file.Files;
import java.nio.file.Path;

/** Where the tests find models. */
final class Models {
  private Models() {}

  /** The folder of a model: the bundled one, or one that only some machines have. */
  static Path folder(String name) {
    if (name.equals("pocket")) {
      return Path.of(System.getProperty("flotilla.root", ".."), "models", name);
    }
    Path folder = Path.of(System.getProperty("flotilla.shared", "."), "models", name);
    assumeTrue(Files.isDirectory(folder), "no model " + name + " on this machine");
    return folder;
  }
}
