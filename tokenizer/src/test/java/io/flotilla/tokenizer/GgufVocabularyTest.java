package io.flotilla.tokenizer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;

class GgufVocabularyTest {
  /** What a converter would write to a GGUF file for a byte-level {@code tokenizer.json}. */
  private static GgufVocabulary converted(String model, String pre, @Nullable Boolean addBegin) {
    JsonNode json;
    try {
      json =
          new ObjectMapper()
              .readTree(Files.readString(Models.folder(model).resolve("tokenizer.json")));
    } catch (IOException e) {
      throw new AssertionError(e);
    }
    try (Tokenizer tokenizer = Tokenizer.load(Models.folder(model))) {
      int size = tokenizer.vocabularySize();
      int[] types = new int[size];
      List<String> tokens = new ArrayList<>();
      for (int id = 0; id < size; id++) {
        String token = tokenizer.token(id);
        tokens.add(token == null ? "[PAD" + id + "]" : token);
        types[id] = token == null ? 5 : 1;
      }
      for (JsonNode added : json.get("added_tokens")) {
        types[added.get("id").asInt()] = added.get("special").asBoolean() ? 3 : 4;
      }
      List<String> merges = new ArrayList<>();
      for (JsonNode merge : json.get("model").get("merges")) {
        merges.add(merge.get(0).asString() + " " + merge.get(1).asString());
      }
      return new GgufVocabulary(
          "gpt2", pre, tokens, types, new float[0], merges, 1, 2, null, addBegin, null, null);
    }
  }

  private static void assertSameIds(Tokenizer actual, String model) {
    try (Tokenizer expected = Tokenizer.load(Models.folder(model))) {
      assertThat(actual.vocabularySize()).isEqualTo(expected.vocabularySize());
      for (JsonNode golden : Goldens.read("ids-" + model + ".json")) {
        String text = golden.get("text").asString();
        assertThat(actual.encode(text, true))
            .as(text)
            .containsExactly(Goldens.ints(golden.get("ids")));
        assertThat(actual.decode(actual.encode(text, true), true))
            .isEqualTo(golden.get("plain").asString());
      }
      Random random = new Random(3);
      for (int round = 0; round < 300; round++) {
        int[] ids = random.ints(40, 0, expected.vocabularySize()).toArray();
        String text = expected.decode(ids, false);
        assertThat(actual.encode(text, true)).containsExactly(expected.encode(text, true));
        assertThat(actual.decode(ids, true)).isEqualTo(expected.decode(ids, true));
      }
    }
  }

  @Test
  void givesTheIdsOfTheTokenizerThatTheFileWasMadeFrom() {
    try (Tokenizer tokenizer = Tokenizer.of(converted("pocket", "smollm", null))) {
      assertSameIds(tokenizer, "pocket");
    }
  }

  @Test
  void givesQwensIds() {
    try (Tokenizer tokenizer = Tokenizer.of(converted("qwen3-tokenizer", "qwen2", false))) {
      assertSameIds(tokenizer, "qwen3-tokenizer");
    }
  }

  @Test
  void readsARealFile() throws IOException {
    Path folder = Models.folder("smollm2-135m-instruct");
    Map<String, Object> metadata =
        GgufFixtures.metadata(folder.resolve("SmolLM2-135M-Instruct.Q4_1.gguf"));
    GgufVocabulary vocabulary =
        new GgufVocabulary(
            "" + metadata.get("tokenizer.ggml.model"),
            (String) metadata.get("tokenizer.ggml.pre"),
            strings(metadata.get("tokenizer.ggml.tokens")),
            strings(metadata.get("tokenizer.ggml.token_type")).stream()
                .mapToInt(Integer::parseInt)
                .toArray(),
            new float[0],
            strings(metadata.get("tokenizer.ggml.merges")),
            1,
            2,
            0,
            !Long.valueOf(0).equals(metadata.get("tokenizer.ggml.add_bos_token")),
            null,
            null);
    try (Tokenizer tokenizer = Tokenizer.of(vocabulary)) {
      assertSameIds(tokenizer, "smollm2-135m-instruct");
    }
  }

  private static List<String> strings(@Nullable Object array) {
    if (!(array instanceof List<?> values)) {
      throw new AssertionError("no array: " + array);
    }
    return values.stream().map(String::valueOf).toList();
  }

  @Test
  void beginsSequencesWhenTheFileSaysSo() {
    try (Tokenizer tokenizer = Tokenizer.of(converted("pocket", "smollm", true))) {
      int a = tokenizer.id("a");
      assertThat(tokenizer.encode("a", true)).containsExactly(1, a);
      assertThat(tokenizer.encode("a", false)).containsExactly(a);
    }
  }

  @Test
  void knowsHowLlama3CutsDigits() {
    GgufVocabulary bytes =
        new GgufVocabulary(
            "gpt2",
            "llama-bpe",
            List.of("1", "2", "12", "121", "1212", "<s>"),
            new int[] {1, 1, 1, 1, 1, 3},
            new float[0],
            List.of("1 2", "12 1", "121 2"),
            5,
            null,
            null,
            null,
            null,
            null);
    try (Tokenizer tokenizer = Tokenizer.of(bytes)) {
      assertThat(tokenizer.encode("1212", true)).containsExactly(5, 3, 1);
    }
  }

  @Test
  void mergesSentencePieceTokensByScore() {
    GgufVocabulary vocabulary = sentencePiece(true);
    try (Tokenizer tokenizer = Tokenizer.of(vocabulary)) {
      Random random = new Random(5);
      for (int round = 0; round < 2_000; round++) {
        String text =
            random
                .ints(1 + random.nextInt(12), 0, 5)
                .mapToObj(i -> List.of("a", "b", "c", " ", "é").get(i))
                .reduce("", String::concat);
        int[] ids = tokenizer.encode(text, true);
        assertThat(ids).as(text).containsExactly(bestScoreFirst(vocabulary, text));
        assertThat(tokenizer.decode(ids, true)).isEqualTo(text);
        IncrementalDetokenizer detokenizer = new IncrementalDetokenizer(tokenizer, true);
        StringBuilder joined = new StringBuilder();
        IntStream.of(ids).forEach(id -> joined.append(detokenizer.push(id)));
        assertThat(joined + detokenizer.flush()).isEqualTo(text);
      }
    }
  }

  @Test
  void showsBytesOfSentencePieceOnceTheyAreACharacter() {
    try (Tokenizer tokenizer = Tokenizer.of(sentencePiece(true))) {
      IncrementalDetokenizer detokenizer = new IncrementalDetokenizer(tokenizer, true);
      int a = tokenizer.id("a");
      int first = tokenizer.id("<0xC3>");
      int second = tokenizer.id("<0xA9>");
      assertThat(detokenizer.push(a)).isEqualTo("a");
      assertThat(detokenizer.push(first)).isEmpty();
      assertThat(detokenizer.push(second)).isEqualTo("é");
      assertThat(detokenizer.push(second)).isEqualTo("\uFFFD");
      assertThat(detokenizer.push(first)).isEmpty();
      assertThat(detokenizer.push(a)).isEqualTo("\uFFFDa");
      assertThat(detokenizer.push(first) + detokenizer.flush()).isEqualTo("\uFFFD");
    }
  }

  @Test
  void keepsTheSpaceThatContinuesASentencePieceText() {
    try (Tokenizer tokenizer = Tokenizer.of(sentencePiece(true))) {
      int word = tokenizer.id("▁a");
      assertThat(new IncrementalDetokenizer(tokenizer, true).push(word)).isEqualTo("a");
      assertThat(new IncrementalDetokenizer(tokenizer, true, new int[] {word}).push(word))
          .isEqualTo(" a");
    }
  }

  private static GgufVocabulary sentencePiece(boolean spacePrefix) {
    List<String> tokens = new ArrayList<>(List.of("<unk>", "<s>", "</s>"));
    IntStream.range(0, 256).forEach(b -> tokens.add("<0x%02X>".formatted(b)));
    int bytes = tokens.size();
    tokens.addAll(List.of("▁a", "ab", "▁ab", "abc", "bc", "▁▁", "ca", "cab", "▁", "a", "b", "c"));
    int[] types = new int[tokens.size()];
    float[] scores = new float[tokens.size()];
    for (int id = 0; id < tokens.size(); id++) {
      types[id] = id == 0 ? 2 : id < 3 ? 3 : id < bytes ? 6 : 1;
      scores[id] = id < bytes ? 0 : bytes - id;
    }
    return new GgufVocabulary(
        "llama", "default", tokens, types, scores, List.of(), 1, 2, 0, null, null, spacePrefix);
  }

  /**
   * SentencePiece's own algorithm: merge the neighbours whose token scores best, leftmost first.
   */
  private static int[] bestScoreFirst(GgufVocabulary vocabulary, String text) {
    List<String> pieces =
        new ArrayList<>(
            ("▁" + text.replace(' ', '▁')).codePoints().mapToObj(Character::toString).toList());
    while (true) {
      int best = -1;
      float bestScore = Float.NEGATIVE_INFINITY;
      for (int i = 0; i + 1 < pieces.size(); i++) {
        int id = vocabulary.tokens().indexOf(pieces.get(i) + pieces.get(i + 1));
        if (id >= 0 && vocabulary.scores()[id] > bestScore) {
          best = i;
          bestScore = vocabulary.scores()[id];
        }
      }
      if (best < 0) {
        break;
      }
      pieces.set(best, pieces.get(best) + pieces.remove(best + 1));
    }
    List<Integer> ids = new ArrayList<>(List.of(1));
    for (String piece : pieces) {
      if (piece.equals("é")) {
        ids.add(vocabulary.tokens().indexOf("<0xC3>"));
        ids.add(vocabulary.tokens().indexOf("<0xA9>"));
      } else {
        ids.add(vocabulary.tokens().indexOf(piece));
      }
    }
    return ids.stream().mapToInt(Integer::intValue).toArray();
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "default", "tekken", "deepseek-llm"})
  void refusesAPreTokenizerItDoesNotKnow(String pre) {
    GgufVocabulary vocabulary = vocabulary("gpt2", pre, List.of("a"));
    assertThatThrownBy(() -> Tokenizer.of(vocabulary))
        .isInstanceOf(TokenizerException.class)
        .hasMessageContaining("tokenizer.ggml.pre is " + pre)
        .hasMessageContaining("--tokenizer");
  }

  @Test
  void refusesAModelItDoesNotKnow() {
    assertThatThrownBy(() -> Tokenizer.of(vocabulary("bert", "jina-v2-en", List.of("a"))))
        .isInstanceOf(TokenizerException.class)
        .hasMessageContaining("tokenizer.ggml.model is bert");
  }

  @Test
  void refusesAVocabularyWhosePartsDoNotFit() {
    assertThatThrownBy(() -> vocabulary("gpt2", "gpt-2", List.of()))
        .isInstanceOf(TokenizerException.class)
        .hasMessageContaining("tokens is empty");
    assertThatThrownBy(() -> vocabulary("gpt2", "gpt-2", List.of("a", "b")))
        .isInstanceOf(TokenizerException.class)
        .hasMessageContaining("token_type has 1 elements for 2 tokens");
    assertThatThrownBy(() -> Tokenizer.of(vocabulary("llama", null, List.of("a"))))
        .isInstanceOf(TokenizerException.class)
        .hasMessageContaining("scores is missing");
  }

  private static GgufVocabulary vocabulary(
      String model, @Nullable String pre, List<String> tokens) {
    return new GgufVocabulary(
        model,
        pre,
        tokens,
        new int[] {1},
        new float[0],
        List.of(),
        null,
        null,
        null,
        null,
        null,
        null);
  }
}
