package io.flotilla.tokenizer;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;

class IncrementalDetokenizerTest {
  private static String join(Tokenizer tokenizer, int[] ids, boolean skipSpecialTokens) {
    IncrementalDetokenizer detokenizer = new IncrementalDetokenizer(tokenizer, skipSpecialTokens);
    StringBuilder text = new StringBuilder();
    for (int id : ids) {
      text.append(detokenizer.push(id));
    }
    text.append(detokenizer.flush());
    assertThat(detokenizer.flush()).isEmpty();
    return text.toString();
  }

  @ParameterizedTest
  @ValueSource(strings = {"pocket", "smollm2-135m-instruct", "qwen3-tokenizer"})
  void joinsToTheWholeText(String model) {
    try (Tokenizer tokenizer = Tokenizer.load(Models.folder(model))) {
      for (JsonNode golden : Goldens.read("ids-" + model + ".json")) {
        int[] ids = Goldens.ints(golden.get("ids"));
        assertThat(join(tokenizer, ids, false)).isEqualTo(golden.get("decoded").asString());
        assertThat(join(tokenizer, ids, true)).isEqualTo(golden.get("plain").asString());
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"pocket", "qwen3-tokenizer"})
  void joinsRandomIdsToTheirWholeText(String model) {
    try (Tokenizer tokenizer = Tokenizer.load(Models.folder(model))) {
      Random random = new Random(11);
      for (int round = 0; round < 500; round++) {
        // The lowest ids of a byte-level vocabulary are bytes: most sequences of them are no UTF-8.
        int bound = round % 2 == 0 ? 300 : tokenizer.vocabularySize();
        int[] ids = random.ints(random.nextInt(80), 0, bound).toArray();
        assertThat(join(tokenizer, ids, false)).isEqualTo(tokenizer.decode(ids, false));
        assertThat(join(tokenizer, ids, true)).isEqualTo(tokenizer.decode(ids, true));
      }
    }
  }

  @Test
  void neverShowsHalfACharacter() {
    try (Tokenizer tokenizer = Tokenizer.load(Models.folder("pocket"))) {
      IncrementalDetokenizer detokenizer = new IncrementalDetokenizer(tokenizer, true);
      int[] ids = tokenizer.encode("😀", false);
      assertThat(ids).hasSizeGreaterThan(2);
      for (int i = 0; i < ids.length - 1; i++) {
        assertThat(detokenizer.push(ids[i])).isEmpty();
      }
      assertThat(detokenizer.push(ids[ids.length - 1])).isEqualTo("😀");
    }
  }

  @Test
  void showsAtTheEndWhatNeverBecameACharacter() {
    try (Tokenizer tokenizer = Tokenizer.load(Models.folder("pocket"))) {
      IncrementalDetokenizer detokenizer = new IncrementalDetokenizer(tokenizer, true);
      assertThat(detokenizer.push(tokenizer.encode("😀", false)[0])).isEmpty();
      assertThat(detokenizer.flush()).isEqualTo("\uFFFD");
    }
  }

  @Test
  void continuesAPromptWithoutRepeatingIt() {
    try (Tokenizer tokenizer = Tokenizer.load(Models.folder("pocket"))) {
      int[] ids = tokenizer.encode("Once upon a time there was a cat 😀 and a dog", false);
      for (int cut = 0; cut <= ids.length; cut++) {
        int[] prompt = Arrays.copyOf(ids, cut);
        IncrementalDetokenizer detokenizer = new IncrementalDetokenizer(tokenizer, true, prompt);
        StringBuilder text = new StringBuilder();
        for (int i = cut; i < ids.length; i++) {
          text.append(detokenizer.push(ids[i]));
        }
        String before = tokenizer.decode(prompt, true);
        String shown =
            before.endsWith("\uFFFD") ? before.substring(0, before.length() - 1) : before;
        assertThat(shown + text).isEqualTo(tokenizer.decode(ids, true));
      }
    }
  }
}
