package io.flotilla.tokenizer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;
import tools.jackson.databind.node.ObjectNode;

class NativeTokenizerTest {
  private static Tokenizer pocket() {
    return Tokenizer.load(Models.folder("pocket"));
  }

  @ParameterizedTest
  @ValueSource(strings = {"pocket", "smollm2-135m-instruct", "qwen3-tokenizer"})
  void givesTheIdsAndTextsOfHuggingFace(String model) {
    try (Tokenizer tokenizer = Tokenizer.load(Models.folder(model))) {
      List<JsonNode> cases = Goldens.read("ids-" + model + ".json");
      assertThat(cases).hasSizeGreaterThan(15);
      for (JsonNode golden : cases) {
        String text = golden.get("text").asString();
        int[] ids = tokenizer.encode(text, true);
        assertThat(ids).as(text).containsExactly(Goldens.ints(golden.get("ids")));
        assertThat(tokenizer.decode(ids, false)).isEqualTo(golden.get("decoded").asString());
        assertThat(tokenizer.decode(ids, true)).isEqualTo(golden.get("plain").asString());
      }
    }
  }

  @Test
  void neverTruncates() {
    try (Tokenizer tokenizer = pocket()) {
      String text = "the sea and the sky ".repeat(3000);
      int[] ids = tokenizer.encode(text, true);
      assertThat(ids).hasSizeGreaterThan(5000);
      assertThat(tokenizer.decode(ids, false)).isEqualTo(text);
    }
  }

  @Test
  void ignoresTruncationAndPaddingOfTheFile(@TempDir Path folder) throws IOException {
    ObjectMapper mapper = new ObjectMapper();
    Path original = Models.folder("pocket").resolve("tokenizer.json");
    ObjectNode json = (ObjectNode) mapper.readTree(Files.readString(original));
    json.putObject("truncation")
        .put("direction", "Right")
        .put("max_length", 4)
        .put("strategy", "LongestFirst")
        .put("stride", 0);
    ObjectNode padding = json.putObject("padding");
    padding.putObject("strategy").put("Fixed", 64);
    padding
        .put("direction", "Right")
        .putNull("pad_to_multiple_of")
        .put("pad_id", 0)
        .put("pad_type_id", 0)
        .put("pad_token", "<|endoftext|>");
    Files.writeString(folder.resolve("tokenizer.json"), mapper.writeValueAsString(json));
    try (Tokenizer tokenizer = Tokenizer.load(folder);
        Tokenizer plain = pocket()) {
      String text = "a text of rather more than four tokens";
      assertThat(tokenizer.encode(text, true)).containsExactly(plain.encode(text, true));
      assertThat(tokenizer.encode("", true)).isEmpty();
    }
  }

  @Test
  void knowsItsVocabulary() {
    try (Tokenizer tokenizer = pocket()) {
      assertThat(tokenizer.vocabularySize()).isEqualTo(4096);
      assertThat(tokenizer.token(0)).isEqualTo("<|endoftext|>");
      assertThat(tokenizer.id("<|im_start|>")).isEqualTo(1);
      assertThat(tokenizer.isSpecial(1)).isTrue();
      assertThat(tokenizer.isSpecial(tokenizer.id("a"))).isFalse();
      assertThat(tokenizer.token(4096)).isNull();
      assertThat(tokenizer.token(-1)).isNull();
      assertThat(tokenizer.isSpecial(-1)).isFalse();
      assertThat(tokenizer.id("no such token")).isEqualTo(-1);
      for (int id = 0; id < 4096; id++) {
        String token = tokenizer.token(id);
        assertThat(token).isNotNull();
        assertThat(tokenizer.id(token)).isEqualTo(id);
      }
    }
  }

  @Test
  void countsAddedTokensBehindTheModelsOwn() {
    try (Tokenizer tokenizer = Tokenizer.load(Models.folder("qwen3-tokenizer"))) {
      assertThat(tokenizer.vocabularySize()).isEqualTo(151_669);
      assertThat(tokenizer.token(151_644)).isEqualTo("<|im_start|>");
      assertThat(tokenizer.isSpecial(tokenizer.id("<think>"))).isFalse();
    }
  }

  @Test
  void leavesOutIdsItDoesNotHave() {
    try (Tokenizer tokenizer = pocket()) {
      int a = tokenizer.id("a");
      assertThat(tokenizer.decode(new int[] {a, 5000, -1, Integer.MAX_VALUE, a}, false))
          .isEqualTo("aa");
    }
  }

  @Test
  void replacesHalvesOfSurrogatePairs() {
    try (Tokenizer tokenizer = pocket()) {
      int[] ids = tokenizer.encode("a\uD83Db\uDE00😀\uD83D", true);
      assertThat(tokenizer.decode(ids, false)).isEqualTo("a\uFFFDb\uFFFD😀\uFFFD");
    }
  }

  @Test
  void servesManyThreadsUntilClosed() throws Exception {
    Tokenizer tokenizer = pocket();
    int[] expected = tokenizer.encode("many threads, one tokenizer", true);
    try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
      List<Future<int[]>> results =
          IntStream.range(0, 200)
              .mapToObj(
                  i -> threads.submit(() -> tokenizer.encode("many threads, one tokenizer", true)))
              .toList();
      for (Future<int[]> result : results) {
        assertThat(result.get()).containsExactly(expected);
      }
    }
    tokenizer.close();
    tokenizer.close();
    assertThatThrownBy(() -> tokenizer.encode("x", true))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("closed");
    assertThatThrownBy(() -> tokenizer.decode(expected, false))
        .isInstanceOf(IllegalStateException.class);
  }

  @Test
  void namesAMissingFile(@TempDir Path folder) {
    assertThatThrownBy(() -> Tokenizer.load(folder))
        .isInstanceOf(TokenizerException.class)
        .hasMessageContaining(folder.toString())
        .hasMessageContaining("no tokenizer.json")
        .hasMessageContaining("--tokenizer");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "{",
        "[]",
        "null",
        "{}",
        "{\"model\":{\"vocab\":{}}}",
        "{\"model\":{\"vocab\":{\"a\":\"b\"}}}",
        "{\"model\":{\"vocab\":{\"a\":0}}",
        "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":-1},\"merges\":[]}}",
        "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":2000000000},\"merges\":[]}}",
        "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[[\"a\",\"zz\"]]}}",
        "{\"model\":{\"type\":\"Nonsense\",\"vocab\":{\"a\":0}}}"
      })
  void namesACorruptFile(String json, @TempDir Path folder) throws IOException {
    Files.writeString(folder.resolve("tokenizer.json"), json);
    assertThatThrownBy(() -> Tokenizer.load(folder)).isInstanceOf(TokenizerException.class);
  }

  @Test
  void namesATruncatedFile(@TempDir Path folder) throws IOException {
    byte[] whole = Files.readAllBytes(Models.folder("pocket").resolve("tokenizer.json"));
    Files.write(folder.resolve("tokenizer.json"), Arrays.copyOf(whole, whole.length / 2));
    assertThatThrownBy(() -> Tokenizer.load(folder))
        .isInstanceOf(TokenizerException.class)
        .hasMessageContaining("tokenizer.json is corrupt", "fetch it again");
  }
}
