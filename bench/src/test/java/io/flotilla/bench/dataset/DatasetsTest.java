package io.flotilla.bench.dataset;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class DatasetsTest {
  private final WordTokenizer tokenizer = new WordTokenizer();

  @TempDir Path folder;

  @Test
  void randomPromptsHaveTheLengthAskedFor() {
    List<BenchmarkPrompt> prompts = new RandomDataset(17, 5, 0).sample(tokenizer, 20, 1);

    assertThat(prompts).hasSize(20).doesNotHaveDuplicates();
    assertThat(prompts).allMatch(prompt -> prompt.promptTokens() == 17);
    assertThat(prompts).allMatch(prompt -> prompt.prompt().split(" ").length == 17);
    assertThat(prompts).allMatch(prompt -> prompt.outputTokens() == 5);
    assertThat(prompts).noneMatch(prompt -> prompt.prompt().matches(".*\\bw[01]\\b.*"));
  }

  @Test
  void randomLengthsFillTheRange() {
    List<BenchmarkPrompt> prompts = new RandomDataset(20, 10, 0.5).sample(tokenizer, 400, 1);

    assertThat(prompts).extracting(BenchmarkPrompt::promptTokens).contains(10, 30);
    assertThat(prompts).allMatch(prompt -> prompt.promptTokens() >= 10);
    assertThat(prompts).allMatch(prompt -> prompt.promptTokens() <= 30);
    assertThat(prompts).extracting(BenchmarkPrompt::outputTokens).contains(5, 15);
  }

  @Test
  void theSameSeedGivesTheSamePrompts() {
    RandomDataset dataset = new RandomDataset(8, 4, 0.25);

    assertThat(dataset.sample(tokenizer, 5, 3)).isEqualTo(dataset.sample(tokenizer, 5, 3));
    assertThat(dataset.sample(tokenizer, 5, 3)).isNotEqualTo(dataset.sample(tokenizer, 5, 4));
  }

  @Test
  void refusesARangeOfOneOrMore() {
    assertThatThrownBy(() -> new RandomDataset(8, 4, 1)).hasMessageContaining("range-ratio");
  }

  @Test
  void shareGptKeepsWhatIsWorthSendingAndRepeatsIt() throws IOException {
    Path file =
        write(
            "sharegpt.json",
            """
        [{"conversations":[{"value":"a b c d e"},{"value":"f g h i"}]},
         {"conversations":[{"value":"too short"},{"value":"f g h i"}]},
         {"conversations":[{"value":"only one turn here"}]}]""");

    List<BenchmarkPrompt> prompts = new ShareGptDataset(file, 0).sample(tokenizer, 3, 0);

    assertThat(prompts).hasSize(3).containsOnly(new BenchmarkPrompt("a b c d e", 5, 4));
    assertThat(new ShareGptDataset(file, 64).sample(tokenizer, 1, 0))
        .containsExactly(new BenchmarkPrompt("a b c d e", 5, 64));
  }

  @Test
  void customPromptsPassThroughTheTemplate() throws IOException {
    Path file =
        write(
            "own.jsonl",
            """
        {"prompt": "one"}

        {"prompt": "two", "tokens": 1}
        """);

    List<BenchmarkPrompt> prompts =
        new CustomDataset(file, 9, text -> "say " + text).sample(tokenizer, 4, 0);

    assertThat(prompts)
        .contains(new BenchmarkPrompt("say one", 2, 9), new BenchmarkPrompt("say two", 2, 9))
        .hasSize(4);
  }

  @Test
  void namesTheLineThatIsWrong() throws IOException {
    Path file = write("own.jsonl", "{\"text\": 1}\n");
    CustomDataset dataset = new CustomDataset(file, 9, UnaryOperator.identity());

    assertThatThrownBy(() -> dataset.sample(tokenizer, 1, 0))
        .isInstanceOf(DatasetException.class)
        .hasMessageContaining("{\"text\": 1}");
    assertThatThrownBy(() -> new ShareGptDataset(folder.resolve("no"), 0).sample(tokenizer, 1, 0))
        .isInstanceOf(DatasetException.class)
        .hasMessageContaining("cannot be read");
  }

  private Path write(String name, String text) throws IOException {
    return Files.writeString(folder.resolve(name), text);
  }
}
