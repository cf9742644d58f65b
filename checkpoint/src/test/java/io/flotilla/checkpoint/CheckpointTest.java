package io.flotilla.checkpoint;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CheckpointTest {
  @TempDir private Path folder;

  @BeforeEach
  void writeConfig() throws IOException {
    TestFiles.writeConfig(
        folder,
        "{'architectures': ['LlamaForCausalLM'], 'hidden_size': 64, 'intermediate_size': 128,"
            + " 'num_hidden_layers': 2, 'num_attention_heads': 4, 'vocab_size': 100,"
            + " 'max_position_embeddings': 512}");
  }

  @Test
  void findsTensorsInAllShards() throws IOException {
    writeShards();
    try (Checkpoint checkpoint = Checkpoint.open(folder)) {
      assertThat(checkpoint.names()).containsExactly("a", "b");
      assertThat(checkpoint.has("b")).isTrue();
      assertThat(checkpoint.has("c")).isFalse();
      assertThat(checkpoint.totalBytes()).isEqualTo(12);
      StoredTensor tensor = checkpoint.tensor("b", 2);
      assertThat(tensor.type()).isEqualTo(ElementType.F32);
      assertThat(tensor.data().byteSize()).isEqualTo(8);
      assertThat(tensor.data().isReadOnly()).isTrue();
    }
  }

  @Test
  void itsIndexTellsModelsOfOneShapeApart() throws IOException {
    byte[] file =
        TestFiles.safetensors(
            "{'model.norm.weight': {'dtype': 'F32', 'shape': [2], 'data_offsets': [0, 8]}}", 8);
    Path path = folder.resolve("model.safetensors");
    Files.write(path, file);
    String index = index();
    assertThat(index).contains("model.norm.weight F32 [2]");
    assertThat(index()).isEqualTo(index);
    file[file.length - 1]++;
    Files.write(path, file);
    assertThat(index()).isNotEqualTo(index);
  }

  private String index() {
    try (Checkpoint checkpoint = Checkpoint.open(folder)) {
      return checkpoint.index();
    }
  }

  @Test
  void takesTheMemoryAwayWhenClosed() throws IOException {
    writeShards();
    StoredTensor tensor;
    try (Checkpoint checkpoint = Checkpoint.open(folder)) {
      tensor = checkpoint.tensor("b", 2);
    }
    assertThatThrownBy(() -> tensor.data().get(JAVA_BYTE, 0))
        .isInstanceOf(IllegalStateException.class);
  }

  @Test
  void namesTheShardThatIsMissing() throws IOException {
    writeShards();
    Files.delete(folder.resolve("model-00002-of-00002.safetensors"));
    assertOpenRefused("model-00002-of-00002.safetensors is missing");
  }

  @Test
  void refusesAnIndexThatDoesNotMatchItsShards() throws IOException {
    writeShards();
    writeIndex("{'weight_map': {'z': 'model-00001-of-00002.safetensors'}}");
    assertOpenRefused("weight_map.z is not in model-00001-of-00002.safetensors");
  }

  @Test
  void refusesAnIndexThatLeavesTheFolder() throws IOException {
    for (String shard : new String[] {"../a.safetensors", "/etc/passwd", "a.bin", ".safetensors"}) {
      writeIndex("{'weight_map': {'z': '" + shard + "'}}");
      assertOpenRefused("weight_map.z is " + shard);
    }
    writeIndex("{'metadata': {}}");
    assertOpenRefused("weight_map is missing");
  }

  @Test
  void namesTheTensorThatIsMissingOrOfAnotherShapeOrType() throws IOException {
    Files.write(
        folder.resolve("model.safetensors"),
        TestFiles.safetensors(
            "{'a':{'dtype':'F32','shape':[1,2],'data_offsets':[0,8]},"
                + "'b':{'dtype':'I8','shape':[4],'data_offsets':[8,12]}}",
            12));
    try (Checkpoint checkpoint = Checkpoint.open(folder)) {
      assertThatThrownBy(() -> checkpoint.tensor("c", 1))
          .isInstanceOf(CheckpointException.class)
          .hasMessageContaining("tensor c is missing");
      assertThatThrownBy(() -> checkpoint.tensor("a", 2, 1))
          .isInstanceOf(CheckpointException.class)
          .hasMessageContaining("model.safetensors: tensor a has shape [1, 2]")
          .hasMessageContaining("[2, 1]");
      assertThatThrownBy(() -> checkpoint.tensor("b", 4))
          .isInstanceOf(CheckpointException.class)
          .hasMessageContaining("tensor b is I8");
    }
  }

  @Test
  void refusesATruncatedFile() throws IOException {
    byte[] whole =
        TestFiles.safetensors("{'a':{'dtype':'F32','shape':[2],'data_offsets':[0,8]}}", 8);
    Path file = folder.resolve("model.safetensors");
    for (int length = 0; length < whole.length; length++) {
      Files.write(file, Arrays.copyOf(whole, length));
      assertOpenRefused(file.toString());
    }
  }

  @Test
  void refusesAFolderWithoutWeights() throws IOException {
    assertOpenRefused("holds no .safetensors file");
    Files.write(folder.resolve("a.safetensors"), TestFiles.safetensors("{}", 0));
    Files.write(folder.resolve("b.safetensors"), TestFiles.safetensors("{}", 0));
    assertOpenRefused("holds 2 .safetensors files and no model.safetensors.index.json");
  }

  @Test
  void refusesWhatIsNoModel() throws IOException {
    Path file = Files.writeString(folder.resolve("notes.txt"), "x");
    assertThatThrownBy(() -> Checkpoint.open(file))
        .isInstanceOf(CheckpointException.class)
        .hasMessageContaining("neither a folder nor a .gguf file");
    assertThatThrownBy(() -> Checkpoint.open(folder.resolve("absent")))
        .isInstanceOf(CheckpointException.class)
        .hasMessageContaining("absent does not exist");
  }

  private void assertOpenRefused(String message) {
    assertThatThrownBy(() -> Checkpoint.open(folder))
        .isInstanceOf(CheckpointException.class)
        .hasMessageContaining(message);
  }

  private void writeShards() throws IOException {
    Files.write(
        folder.resolve("model-00001-of-00002.safetensors"),
        TestFiles.safetensors("{'a':{'dtype':'F16','shape':[2],'data_offsets':[0,4]}}", 4));
    Files.write(
        folder.resolve("model-00002-of-00002.safetensors"),
        TestFiles.safetensors("{'b':{'dtype':'F32','shape':[2],'data_offsets':[0,8]}}", 8));
    writeIndex(
        "{'metadata': {'total_size': 12}, 'weight_map': {"
            + "'a': 'model-00001-of-00002.safetensors',"
            + "'b': 'model-00002-of-00002.safetensors'}}");
  }

  private void writeIndex(String json) throws IOException {
    Files.writeString(folder.resolve("model.safetensors.index.json"), json.replace('\'', '"'));
  }
}
