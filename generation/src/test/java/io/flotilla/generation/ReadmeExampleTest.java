package io.flotilla.generation;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import org.junit.jupiter.api.Test;

/** The example of the README, as it stands there but for the model's path. */
class ReadmeExampleTest {
  @Test
  void answersInFiveLines() throws InterruptedException {
    String path = Path.of(System.getProperty("flotilla.root"), "models", "pocket").toString();
    String answer;
    try (LanguageModel model = LanguageModel.load(path)) {
      answer = model.chat("Hello");
    }
    assertThat(answer).isNotBlank();
  }
}
