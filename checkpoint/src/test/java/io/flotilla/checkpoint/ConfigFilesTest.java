package io.flotilla.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ConfigFilesTest {
  private static final String SHAPE =
      "'hidden_size': 64, 'intermediate_size': 128, 'num_hidden_layers': 2,"
          + " 'num_attention_heads': 4, 'vocab_size': 100, 'max_position_embeddings': 512";

  @TempDir private Path folder;

  @Test
  void readsTheDialectOfTransformers4() throws IOException {
    ModelConfig config =
        read(
            "'num_key_value_heads': 2, 'head_dim': 32, 'rms_norm_eps': 1e-05, 'rope_theta': 5e5,"
                + " 'rope_scaling': null, 'torch_dtype': 'bfloat16', 'tie_word_embeddings': true,"
                + " 'attention_bias': true, 'mlp_bias': true, 'eos_token_id': [7, 9]");
    assertThat(config)
        .isEqualTo(
            new ModelConfig(
                "LlamaForCausalLM",
                64,
                128,
                2,
                4,
                2,
                32,
                100,
                512,
                1e-5f,
                500_000,
                new RopeScaling.None(),
                false,
                true,
                true,
                true,
                List.of(7, 9)));
  }

  @Test
  void readsTheDialectOfTransformers5() {
    ModelConfig config =
        ConfigFiles.model(Path.of(System.getProperty("flotilla.root"), "models", "pocket"));
    assertThat(config)
        .isEqualTo(
            new ModelConfig(
                "Qwen3ForCausalLM",
                384,
                1024,
                8,
                8,
                4,
                64,
                4096,
                2048,
                1e-6f,
                10_000,
                new RopeScaling.None(),
                false,
                true,
                false,
                false,
                List.of(2)));
  }

  @Test
  void fillsInWhatTheLibraryWould() throws IOException {
    ModelConfig config = read("'eos_token_id': 3");
    assertThat(config.kvHeads()).isEqualTo(4);
    assertThat(config.headDim()).isEqualTo(16);
    assertThat(config.ropeTheta()).isEqualTo(10_000);
    assertThat(config.rmsEpsilon()).isEqualTo(1e-6f);
    assertThat(config.tiedEmbeddings()).isFalse();
    assertThat(config.endOfSequence()).containsExactly(3);
    assertThat(read("'eos_token_id': null").endOfSequence()).isEmpty();
  }

  @Test
  void readsTheScalingOfLlama3InBothDialects() throws IOException {
    RopeScaling expected = new RopeScaling.Llama3(8, 1, 4, 256);
    String scaling =
        "{'factor': 8.0, 'low_freq_factor': 1.0, 'high_freq_factor': 4.0,"
            + " 'original_max_position_embeddings': 256, 'rope_type': 'llama3'%s}";
    ModelConfig old = read("'rope_theta': 5e5, 'rope_scaling': " + scaling.formatted(""));
    ModelConfig fresh = read("'rope_parameters': " + scaling.formatted(", 'rope_theta': 500000.0"));
    assertThat(old.ropeScaling()).isEqualTo(expected).isEqualTo(fresh.ropeScaling());
    assertThat(old.ropeTheta()).isEqualTo(500_000).isEqualTo(fresh.ropeTheta());
  }

  @Test
  void readsYarnWithItsDefaults() throws IOException {
    RopeScaling scaling =
        read("'rope_scaling': {'type': 'yarn', 'factor': 4.0,"
                + " 'original_max_position_embeddings': 128}")
            .ropeScaling();
    float attention = (float) (0.1 * Math.log(4) + 1);
    assertThat(scaling).isEqualTo(new RopeScaling.Yarn(4, 32, 1, attention, 128, true));
  }

  @Test
  void readsYarnWithEverythingNamed() throws IOException {
    RopeScaling scaling =
        read("'original_max_position_embeddings': 64, 'rope_parameters': {'rope_type': 'yarn',"
                + " 'factor': 2.0, 'beta_fast': 16, 'beta_slow': 2, 'attention_factor': 1.5,"
                + " 'truncate': false}")
            .ropeScaling();
    assertThat(scaling).isEqualTo(new RopeScaling.Yarn(2, 16, 2, 1.5f, 64, false));
  }

  @Test
  void readsYarnsAttentionAsARatioOfScales() throws IOException {
    RopeScaling.Yarn yarn =
        (RopeScaling.Yarn)
            read("'rope_scaling': {'type': 'yarn', 'factor': 40, 'mscale': 0.7,"
                    + " 'mscale_all_dim': 1.0}")
                .ropeScaling();
    double expected = (0.07 * Math.log(40) + 1) / (0.1 * Math.log(40) + 1);
    assertThat((double) yarn.attentionFactor()).isCloseTo(expected, within(1e-6));
    assertThat(yarn.originalPositions()).isEqualTo(512);
  }

  @Test
  void readsLinearScalingUnderItsOldKey() throws IOException {
    assertThat(read("'rope_scaling': {'type': 'linear', 'factor': 2}").ropeScaling())
        .isEqualTo(new RopeScaling.Linear(2));
  }

  @Test
  void acceptsASlidingWindowThatIsNotUsed() throws IOException {
    assertThat(read("'sliding_window': 128, 'use_sliding_window': false").layers()).isEqualTo(2);
    assertThat(read("'sliding_window': 128, 'max_window_layers': 2").layers()).isEqualTo(2);
    assertThat(read("'sliding_window': 512").layers()).isEqualTo(2);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '^',
      value = {
        "'hidden_act': 'gelu'                               | hidden_act is gelu",
        "'sliding_window': 128                              | sliding_window is in use",
        "'sliding_window': 128, 'use_sliding_window': true  | sliding_window is in use",
        "'layer_types': ['sliding_attention']               | layer_types holds sliding_attention",
        "'quantization_config': {'quant_method': 'gptq'}    | quantization_config (gptq)",
        "'partial_rotary_factor': 0.5                       | partial_rotary_factor is 0.5",
        "'rope_parameters': {'rope_type': 'default', 'partial_rotary_factor': 0.5}"
            + " | rope_parameters.partial_rotary_factor is 0.5",
        "'rope_scaling': {'type': 'longrope', 'factor': 2}  | rope_scaling.rope_type is longrope",
        "'rope_scaling': {'type': 'linear'}                 | rope_scaling.factor is missing",
        "'rope_scaling': {'factor': 2}                      | rope_scaling.rope_type is missing",
        "'rope_scaling': 3                                  | rope_scaling is 3, not an object",
        "'rope_scaling': {'type': 'linear', 'factor': -2}   | rope_scaling.factor is -2.0",
        "'num_key_value_heads': 3                           | num_key_value_heads is 3",
        "'num_key_value_heads': 0                           | num_key_value_heads is 0",
        "'head_dim': 15                                     | head_dim is 15",
        "'head_dim': -2                                     | head_dim is -2",
        "'rope_theta': 0                                    | rope_theta is 0.0",
        "'rope_theta': 'big'                                | rope_theta is \"big\"",
        "'rms_norm_eps': -1e-6                              | rms_norm_eps is -1.0E-6",
        "'eos_token_id': 'end'                              | eos_token_id is \"end\"",
        "'eos_token_id': -1                                 | eos_token_id is -1",
        "'tie_word_embeddings': 1                           | tie_word_embeddings is 1",
        "'torch_dtype': 'a', 'torch_dtype': 'b'             | Duplicate",
      })
  void refusesWhatItCannotServe(String fields, String message) {
    assertThatThrownBy(() -> read(fields))
        .isInstanceOf(CheckpointException.class)
        .hasMessageStartingWith(folder.resolve("config.json").toString())
        .hasMessageContaining(message);
  }

  @ParameterizedTest
  @CsvSource({
    "hidden_size, 64, 0",
    "hidden_size, 64, -64",
    "hidden_size, 64, 64.5",
    "hidden_size, 64, 66",
    "num_hidden_layers, 2, 2000000000",
    "num_hidden_layers, 2, 99999999999999999999",
    "num_attention_heads, 4, 0",
    "vocab_size, 100, 2147483647",
    "intermediate_size, 128, '\"x\"'",
    "max_position_embeddings, 512, 0",
  })
  void refusesAbsurdSizes(String field, String good, String bad) throws IOException {
    String shape = SHAPE.replace("'" + field + "': " + good, "'" + field + "': " + bad);
    assertThat(shape).isNotEqualTo(SHAPE);
    TestFiles.writeConfig(folder, "{'architectures': ['LlamaForCausalLM'], " + shape + "}");
    assertThatThrownBy(() -> ConfigFiles.model(folder))
        .isInstanceOf(CheckpointException.class)
        .hasMessageContaining(bad.replace("\"", ""))
        .hasMessageMatching("(?s).*(" + field + "|num_attention_heads).*");
  }

  @Test
  void refusesMissingFieldsAndFiles() throws IOException {
    assertThatThrownBy(() -> ConfigFiles.model(folder))
        .isInstanceOf(CheckpointException.class)
        .hasMessageContaining("config.json is missing");
    TestFiles.writeConfig(folder, "{" + SHAPE + "}");
    assertThatThrownBy(() -> ConfigFiles.model(folder)).hasMessageContaining("architectures");
    TestFiles.writeConfig(folder, "{'architectures': ['LlamaForCausalLM']}");
    assertThatThrownBy(() -> ConfigFiles.model(folder)).hasMessageContaining("hidden_size");
    TestFiles.writeConfig(folder, "[]");
    assertThatThrownBy(() -> ConfigFiles.model(folder)).hasMessageContaining("no JSON object");
    TestFiles.writeConfig(folder, "{");
    assertThatThrownBy(() -> ConfigFiles.model(folder)).hasMessageContaining("not valid JSON");
  }

  @Test
  void refusesAConfigurationOfManyMegabytes() throws IOException {
    TestFiles.writeConfig(folder, "{'a': '" + "x".repeat(5 << 20) + "'}");
    assertThatThrownBy(() -> ConfigFiles.model(folder))
        .isInstanceOf(CheckpointException.class)
        .hasMessageContaining("at most");
  }

  @Test
  void readsTheRecommendedSampling() throws IOException {
    writeGeneration(
        "{'do_sample': true, 'temperature': 0.6, 'top_k': 20, 'top_p': 0.95, 'min_p': 0.05,"
            + " 'repetition_penalty': 1.1, 'eos_token_id': [1, 2]}");
    assertThat(ConfigFiles.generation(folder))
        .isEqualTo(new GenerationDefaults(0.6f, 20, 0.95f, 0.05f, 1.1f, List.of(1, 2)));
  }

  @Test
  void takesNoSamplingForGreedyChoice() throws IOException {
    writeGeneration("{'do_sample': false, 'temperature': 0.6}");
    assertThat(ConfigFiles.generation(folder).temperature()).isEqualTo(0f);
  }

  @Test
  void hasNoDefaultsWithoutAGenerationFile() {
    assertThat(ConfigFiles.generation(folder))
        .isEqualTo(new GenerationDefaults(null, null, null, null, null, List.of()));
  }

  @Test
  void refusesSamplingOutOfRange() throws IOException {
    writeGeneration("{'top_p': 1.5}");
    assertThatThrownBy(() -> ConfigFiles.generation(folder))
        .isInstanceOf(CheckpointException.class)
        .hasMessageContaining("generation_config.json: top_p is 1.5");
  }

  private ModelConfig read(String fields) throws IOException {
    TestFiles.writeConfig(
        folder, "{'architectures': ['LlamaForCausalLM'], " + SHAPE + ", " + fields + "}");
    return ConfigFiles.model(folder);
  }

  private void writeGeneration(String json) throws IOException {
    Files.writeString(folder.resolve("generation_config.json"), json.replace('\'', '"'));
  }
}
