package io.flotilla.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.zip.CRC32;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** Two models read as the reference libraries read them; see {@code make_goldens.py}. */
class GoldenTensorsTest {
  @Test
  void readsSafetensorsLikeTheReference() throws Exception {
    Path pocket = Path.of(System.getProperty("flotilla.root"), "models", "pocket");
    try (Checkpoint checkpoint = Checkpoint.open(pocket)) {
      assertMatches(checkpoint, "pocket-tensors.json");
      assertThat(checkpoint.totalBytes()).isEqualTo(31_472_384);
    }
  }

  @Test
  void readsGgufLikeTheReference() throws Exception {
    Path file = smollm2();
    try (Checkpoint checkpoint = Checkpoint.open(file)) {
      assertMatches(checkpoint, "smollm2-tensors.json");
    }
  }

  @Test
  void readsTheConfigurationOfAGgufFile() {
    try (Checkpoint checkpoint = Checkpoint.open(smollm2())) {
      assertThat(checkpoint.config())
          .isEqualTo(
              new ModelConfig(
                  "LlamaForCausalLM",
                  576,
                  1536,
                  30,
                  9,
                  3,
                  64,
                  49152,
                  8192,
                  1e-5f,
                  100_000,
                  new RopeScaling.None(),
                  true,
                  true,
                  false,
                  false,
                  List.of(2, 0)));
      GgufTokenizer tokenizer = checkpoint.tokenizer();
      assertThat(tokenizer).isNotNull();
      assertThat(tokenizer.model()).isEqualTo("gpt2");
      assertThat(tokenizer.pre()).isEqualTo("smollm");
      assertThat(tokenizer.tokens()).hasSize(49152).startsWith("<|endoftext|>", "<|im_start|>");
      assertThat(tokenizer.merges()).startsWith("Ġ t", "Ġ a");
      assertThat(tokenizer.types()).startsWith(3, 3, 3);
      assertThat(tokenizer.endOfSequence()).isEqualTo(2);
      assertThat(tokenizer.addBeginningOfSequence()).isFalse();
      assertThat(tokenizer.chatTemplate()).startsWith("{% for message in messages %}");
    }
  }

  private static Path smollm2() {
    Path file =
        Path.of(
            System.getProperty("flotilla.shared"),
            "models/smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf");
    assumeTrue(Files.exists(file), "the shared models are not on this machine");
    return file;
  }

  private static void assertMatches(Checkpoint checkpoint, String golden) throws Exception {
    List<String> names = new ArrayList<>();
    try (InputStream stream = GoldenTensorsTest.class.getResourceAsStream(golden)) {
      for (JsonNode row : JsonMapper.shared().readTree(stream)) {
        String name = row.get(0).stringValue();
        long[] shape = row.get(2).valueStream().mapToLong(JsonNode::longValue).toArray();
        StoredTensor tensor = checkpoint.tensor(name, shape);
        assertThat(tensor.type().name()).isEqualTo(row.get(1).stringValue());
        assertThat(crc(tensor)).as(name).isEqualTo(row.get(3).longValue());
        names.add(name);
      }
    }
    assertThat(checkpoint.names()).containsExactlyInAnyOrderElementsOf(names);
  }

  private static long crc(StoredTensor tensor) {
    CRC32 crc = new CRC32();
    crc.update(tensor.data().asByteBuffer());
    return crc.getValue();
  }
}
