package io.flotilla.generation;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.flotilla.checkpoint.CheckpointException;
import io.flotilla.engine.EngineListener;
import io.flotilla.engine.TokenEvent.FailureCode;
import io.flotilla.engine.TokenEvent.FinishReason;
import io.flotilla.executor.Topology;
import io.flotilla.generation.GenerationEvent.Ended;
import io.flotilla.model.sampling.SamplingParameters;
import io.flotilla.tokenizer.ChatMessage;
import io.flotilla.tokenizer.TokenizerException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The bundled model, from file to text. */
@Timeout(60)
class LanguageModelTest {
  private static final Path POCKET =
      Path.of(System.getProperty("flotilla.root"), "models", "pocket");

  @Test
  void answers() throws InterruptedException {
    try (LanguageModel model = load(options(POCKET, 0, 64L << 20))) {
      assertThat(model.chat("Hello")).isNotBlank().doesNotContain("<|im_end|>");
      assertThat(model.complete("Once upon a time", 5)).isNotBlank();
      assertThat(model.maxModelLength()).isEqualTo(2048);
      assertThat(model.defaultSampling().temperature()).isEqualTo(0.5f);
      assertThat(model.defaultSampling().stopTokens()).containsExactly(2);
      assertThat(model.defaultSampling().seed()).isNotEqualTo(model.defaultSampling().seed());
    }
  }

  @Test
  void streamsTheTextThatItReturnsWhole() throws InterruptedException {
    List<ChatMessage> turns = List.of(new ChatMessage("user", "Tell me a story."));
    List<String> pieces = new ArrayList<>();
    String whole;
    try (LanguageModel model = load(options(POCKET, 256, 64L << 20))) {
      model.chat(turns, pieces::add);
    }
    try (LanguageModel model = load(options(POCKET, 256, 64L << 20))) {
      whole = model.chat(turns);
    }
    assertThat(pieces).hasSizeGreaterThan(3);
    assertThat(String.join("", pieces)).isEqualTo(whole);
  }

  @Test
  void endsAtAStopString() throws InterruptedException {
    try (LanguageModel model = load(options(POCKET, 256, 64L << 20))) {
      int[] prompt =
          model.encodeChat(List.of(new ChatMessage("user", "Tell me a story.")), true, Map.of());
      String whole = text(model, prompt, List.of());
      String stop = whole.substring(20, 24);
      String cut = text(model, prompt, List.of(stop));
      assertThat(cut).isEqualTo(whole.substring(0, whole.indexOf(stop)));
    }
  }

  private static String text(LanguageModel model, int[] prompt, List<String> stop)
      throws InterruptedException {
    StringBuilder text = new StringBuilder();
    GenerationRequest request =
        new GenerationRequest(prompt, SamplingParameters.greedy(), 30, stop, false, true, "");
    try (Generation generation = model.generate(request)) {
      Ended ended = generation.forEachText(text::append);
      assertThat(ended.reason())
          .isEqualTo(stop.isEmpty() ? FinishReason.LENGTH : FinishReason.STOP);
      assertThat(ended.usage().prompt()).isEqualTo(prompt.length);
    }
    return text.toString();
  }

  @Test
  void refusesWhatDoesNotFit() throws InterruptedException {
    try (LanguageModel model = load(options(POCKET, 8, 64L << 20))) {
      SamplingParameters sampling = model.defaultSampling();
      assertThatThrownBy(() -> model.complete("Once upon a time there was a fox.", 5))
          .isInstanceOfSatisfying(
              GenerationException.class,
              refused -> assertThat(refused.code()).isEqualTo(FailureCode.TOO_LONG));
      assertThatThrownBy(() -> model.generate(GenerationRequest.of(new int[] {4096}, sampling, 1)))
          .hasMessage("the prompt has token id 4096, outside the vocabulary of 4096");
    }
  }

  @Test
  void takesTheLengthThatTheKvCacheHolds() {
    // 16 KiB a token, in blocks of 16.
    try (LanguageModel model = load(options(POCKET, 0, 1 << 20))) {
      assertThat(model.maxModelLength()).isEqualTo(64);
    }
  }

  @Test
  void refusesALengthThatWasAskedForAndDoesNotFit() {
    assertThatThrownBy(() -> load(options(POCKET, 100, 1 << 20)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("--kv-cache-memory-bytes");
    assertThatThrownBy(() -> load(options(POCKET, 4096, 64L << 20)))
        .hasMessage("--max-model-len 4096 is more than the model's 2048 positions");
    assertThatThrownBy(() -> load(options(POCKET, 1, 64L << 20)))
        .hasMessage("--max-model-len is 1; it must be at least 2");
  }

  @Test
  void makesWeightsForAConfiguration(@TempDir Path folder)
      throws IOException, InterruptedException {
    Files.copy(POCKET.resolve("config.json"), folder.resolve("config.json"));
    EngineOptions options = dummy(folder, POCKET.toString(), "q8_0");
    List<Long> progress = new ArrayList<>();
    LoadListener listener =
        new LoadListener() {
          @Override
          public void onProgress(io.flotilla.checkpoint.hub.DownloadProgress download) {}

          @Override
          public void onWeights(long bytes, long total) {
            progress.add(total - bytes);
          }
        };
    try (LanguageModel model = LanguageModel.load(options, EngineListener.NONE, listener)) {
      GenerationRequest request =
          GenerationRequest.of(new int[] {5, 6}, SamplingParameters.greedy(), 4);
      try (Generation generation = model.generate(request)) {
        assertThat(generation.forEachText(_ -> {}).usage().generated()).isEqualTo(4);
      }
    }
    assertThat(progress).isNotEmpty();
    assertThat(progress.getLast()).isZero();
  }

  @Test
  void refusesATokenizerThatIsLargerThanTheModel(@TempDir Path folder) throws IOException {
    String config = Files.readString(POCKET.resolve("config.json"));
    Files.writeString(
        folder.resolve("config.json"),
        config.replace("\"vocab_size\": 4096", "\"vocab_size\": 4000"));
    assertThatThrownBy(() -> load(dummy(folder, POCKET.toString(), null)))
        .isInstanceOf(TokenizerException.class)
        .hasMessageStartingWith("the tokenizer has 4096 tokens but the model only 4000");
  }

  @Test
  void refusesOptionsThatMeanNothing(@TempDir Path folder) {
    assertThatThrownBy(() -> load(EngineOptions.of(folder.resolve("none").toString())))
        .isInstanceOf(CheckpointException.class);
    assertThatThrownBy(() -> load(dummy(POCKET, null, "q3_k")))
        .hasMessageStartingWith("--quantization is q3_k; dummy weights can be f32, f16, bf16");
    assertThatThrownBy(() -> load(dummy(POCKET.resolve("config.json"), null, null)))
        .hasMessageContaining("--load-format dummy makes weights from the config.json of a folder");
  }

  private static LanguageModel load(EngineOptions options) {
    return LanguageModel.load(options, EngineListener.NONE);
  }

  private static EngineOptions options(Path model, int length, long kvCache) {
    return options(model, null, "auto", null, length, kvCache);
  }

  private static EngineOptions dummy(
      Path model, @Nullable String tokenizer, @Nullable String quantization) {
    return options(model, tokenizer, "dummy", quantization, 128, 64L << 20);
  }

  private static EngineOptions options(
      Path model,
      @Nullable String tokenizer,
      String loadFormat,
      @Nullable String quantization,
      int length,
      long kvCache) {
    return new EngineOptions(
        model.toString(),
        tokenizer,
        null,
        loadFormat,
        quantization,
        "auto",
        "cpu",
        1,
        Topology.SINGLE,
        Placement.DEFAULT,
        length,
        4,
        256,
        16,
        kvCache,
        0.9,
        16,
        true,
        0);
  }
}
