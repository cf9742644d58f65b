package io.flotilla.checkpoint;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.flotilla.checkpoint.TestFiles.Gguf;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.zip.CRC32;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class GgufConfigTest {
  @TempDir private Path folder;

  @ParameterizedTest
  @ValueSource(strings = {"tiny-llama3.gguf", "tiny-qwen2.gguf"})
  void readsTensorsOfEveryTypeLikeTheReference(String name) throws IOException {
    byte[] content = TestFiles.resource("FileParsersFuzzTestInputs/gguf/" + name);
    Path path = Files.write(folder.resolve(name), content);
    List<String> read = new ArrayList<>();
    try (var arena = Arena.ofConfined()) {
      for (TensorEntry tensor : GgufFile.read(name, MappedFile.map(path, arena)).tensors()) {
        CRC32 crc = new CRC32();
        crc.update(tensor.data().toArray(JAVA_BYTE));
        read.add(
            tensor.name() + " " + tensor.typeName() + " " + tensor.shape() + " " + crc.getValue());
      }
    }
    List<String> expected = new ArrayList<>();
    for (JsonNode row :
        JsonMapper.shared().readTree(TestFiles.resource("tiny-tensors.json")).path(name)) {
      expected.add(
          row.get(0).stringValue()
              + " "
              + row.get(1).stringValue()
              + " "
              + row.get(2).valueStream().map(JsonNode::longValue).toList()
              + " "
              + row.get(3).longValue());
    }
    read.removeIf(line -> line.startsWith("rope_freqs"));
    assertThat(read).hasSizeGreaterThan(5).containsExactlyInAnyOrderElementsOf(expected);
  }

  @Test
  void readsLlama3() throws IOException {
    try (Checkpoint checkpoint = open("tiny-llama3.gguf")) {
      ModelConfig config = checkpoint.config();
      assertThat(config.architecture()).isEqualTo("LlamaForCausalLM");
      assertThat(config.ropeInterleaved()).isTrue();
      assertThat(config.tiedEmbeddings()).isTrue();
      assertThat(config.attentionBias()).isFalse();
      assertThat(config.headDim()).isEqualTo(64);
      assertThat(config.ropeTheta()).isEqualTo(500_000);
      assertThat(config.endOfSequence()).containsExactly(4, 3);
      RopeScaling.Factors factors = (RopeScaling.Factors) config.ropeScaling();
      assertThat(factors.divisors()).hasSize(32).startsWith(1f).endsWith(8f);
      assertThat(checkpoint.names())
          .contains("model.layers.3.mlp.up_proj.weight", "model.norm.weight")
          .doesNotContain("rope_freqs.weight");
      GgufTokenizer tokenizer = checkpoint.tokenizer();
      assertThat(tokenizer).isNotNull();
      assertThat(tokenizer.tokens()).endsWith("ab", "é");
      assertThat(tokenizer.types()).containsExactly(1, 1, 3, 3, 3, 1, 1, 1);
      assertThat(tokenizer.scores()).isEmpty();
      assertThat(tokenizer.addBeginningOfSequence()).isTrue();
      assertThat(tokenizer.addSpacePrefix()).isNull();
      assertThat(tokenizer.chatTemplate()).isEqualTo("{{ messages }}");
    }
  }

  @Test
  void readsQwen2() throws IOException {
    try (Checkpoint checkpoint = open("tiny-qwen2.gguf")) {
      ModelConfig config = checkpoint.config();
      assertThat(config.architecture()).isEqualTo("Qwen2ForCausalLM");
      assertThat(config.ropeInterleaved()).isFalse();
      assertThat(config.tiedEmbeddings()).isFalse();
      assertThat(config.attentionBias()).isTrue();
      assertThat(config.endOfSequence()).containsExactly(5, 3);
      RopeScaling.Yarn yarn = (RopeScaling.Yarn) config.ropeScaling();
      assertThat(yarn.factor()).isEqualTo(4);
      assertThat(yarn.originalPositions()).isEqualTo(32);
      assertThat((double) yarn.attentionFactor()).isCloseTo(0.1 * Math.log(4) + 1, within(1e-6));
      assertThat(checkpoint.generation())
          .isEqualTo(new GenerationDefaults(0.7f, 20, 0.8f, null, null, List.of()));
      assertThat(checkpoint.names())
          .contains(
              "lm_head.weight",
              "model.layers.0.self_attn.q_proj.bias",
              "model.layers.0.self_attn.q_norm.weight");
      GgufTokenizer tokenizer = checkpoint.tokenizer();
      assertThat(tokenizer).isNotNull();
      assertThat(tokenizer.scores()).startsWith(0f, -1f);
      assertThat(tokenizer.padding()).isEqualTo(3);
      assertThat(tokenizer.merges()).containsExactly("a b", "b c");
    }
  }

  @ParameterizedTest
  @CsvSource({
    "general.architecture, mamba, general.architecture is mamba",
    "llama.embedding_length, 0, embedding_length is 0",
    "llama.embedding_length, 257, head_count is 4",
    "llama.block_count, 4000000000, block_count is 4000000000",
    "llama.attention.head_count, 0, head_count is 0",
    "llama.attention.head_count_kv, 3, head_count_kv is 3",
    "llama.attention.key_length, 63, 63",
    "llama.attention.value_length, 32, value_length is 32",
    "llama.rope.dimension_count, 32, dimension_count is 32",
    "llama.rope.scaling.type, longrope, is longrope",
    "llama.expert_count, 8, mixture of experts",
    "llama.attention.sliding_window, 4096, sliding_window",
    "split.count, 3, gguf-split --merge",
  })
  void refusesWhatItCannotServe(String key, String value, String message) throws IOException {
    Map<String, String> pairs = new TreeMap<>(good());
    pairs.put(key, value);
    Path path = Files.write(folder.resolve("m.gguf"), file(pairs));
    assertThatThrownBy(() -> Checkpoint.open(path))
        .isInstanceOf(CheckpointException.class)
        .hasMessageContaining(message);
  }

  @Test
  void refusesMissingKeys() throws IOException {
    for (String key : good().keySet()) {
      Map<String, String> pairs = new TreeMap<>(good());
      pairs.remove(key);
      Path path = Files.write(folder.resolve("m.gguf"), file(pairs));
      assertThatThrownBy(() -> Checkpoint.open(path))
          .isInstanceOf(CheckpointException.class)
          .hasMessageContaining(key);
    }
  }

  @Test
  void opensTheFileThatTheRefusalsSpoil() throws IOException {
    try (Checkpoint checkpoint =
        Checkpoint.open(Files.write(folder.resolve("m.gguf"), file(good())))) {
      assertThat(checkpoint.config().vocabularySize()).isEqualTo(1);
      assertThat(checkpoint.config().kvHeads()).isEqualTo(4);
      assertThat(checkpoint.tokenizer()).isNull();
    }
  }

  private static Map<String, String> good() {
    return Map.of(
        "general.architecture", "llama",
        "llama.embedding_length", "256",
        "llama.feed_forward_length", "512",
        "llama.block_count", "2",
        "llama.attention.head_count", "4",
        "llama.context_length", "128");
  }

  /** Numbers become integers, everything else strings. */
  private static byte[] file(Map<String, String> pairs) {
    Gguf file = new Gguf().header(3, 1, pairs.size());
    pairs.forEach(
        (key, value) -> {
          if (value.matches("\\d+")) {
            file.pair(key, Long.parseLong(value));
          } else {
            file.pair(key, value);
          }
        });
    file.text("token_embd.weight").u32(2).u64(256).u64(1).u32(0).u64(0);
    return file.align().zeros(1024).build();
  }

  private Checkpoint open(String name) throws IOException {
    byte[] content = TestFiles.resource("FileParsersFuzzTestInputs/gguf/" + name);
    return Checkpoint.open(Files.write(folder.resolve(name), content));
  }
}
