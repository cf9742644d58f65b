package io.flotilla.checkpoint;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class DummyWeightsTest {
  private static final String QUERY = "model.layers.1.self_attn.q_proj.weight";

  @ParameterizedTest
  @EnumSource(ElementType.class)
  void hasMeanZeroAndTheDeviationOfTheInputs(ElementType type) {
    try (DummyWeights weights = new DummyWeights(config("Qwen3ForCausalLM", false), type, 7)) {
      StoredTensor tensor = weights.tensor(QUERY, 512, 256);
      float[] values = Dequantiser.values(tensor);
      double sum = 0;
      double squares = 0;
      for (float value : values) {
        sum += value;
        squares += (double) value * value;
      }
      double deviation = Math.sqrt(squares / values.length);
      assertThat(values).hasSize(512 * 256);
      assertThat(deviation).isCloseTo(1 / Math.sqrt(256), within(0.03 / 16));
      assertThat(sum / values.length).isCloseTo(0, within(0.02 / 16));
    }
  }

  @ParameterizedTest
  @EnumSource(ElementType.class)
  void isAFunctionOfNameIndexAndSeed(ElementType type) {
    ModelConfig config = config("Qwen3ForCausalLM", false);
    try (DummyWeights weights = new DummyWeights(config, type, 7);
        DummyWeights again = new DummyWeights(config, type, 7);
        DummyWeights otherSeed = new DummyWeights(config, type, 8)) {
      byte[] bytes = bytes(weights.tensor(QUERY, 512, 256));
      assertThat(bytes(again.tensor(QUERY, 512, 256))).isEqualTo(bytes);
      assertThat(bytes(otherSeed.tensor(QUERY, 512, 256))).isNotEqualTo(bytes);
      assertThat(bytes(weights.tensor(QUERY.replace(".1.", ".0."), 512, 256))).isNotEqualTo(bytes);
    }
  }

  @ParameterizedTest
  @EnumSource(ElementType.class)
  void fillsAnyPartOfATensorAlike(ElementType type) {
    try (Arena arena = Arena.ofConfined()) {
      DummyBlocks blocks = DummyBlocks.of(type, DummyBlocks.key(3, "name"), 0, 0.02f);
      MemorySegment whole = arena.allocate(64L * type.blockBytes());
      MemorySegment parts = arena.allocate(64L * type.blockBytes());
      blocks.fill(whole, 0, 64);
      blocks.fill(parts, 16, 64);
      blocks.fill(parts, 0, 16);
      assertThat(parts.mismatch(whole)).isEqualTo(-1);
      MemorySegment odd = arena.allocate(13L * type.blockBytes());
      blocks.fill(odd, 0, 13);
      assertThat(odd.mismatch(whole)).isEqualTo(odd.byteSize());
      assertThat(whole.toArray(JAVA_BYTE)).isNotEqualTo(new byte[64 * type.blockBytes()]);
    }
  }

  @Test
  void keepsNormsNearOneAndBiasesNearZero() {
    try (DummyWeights weights =
        new DummyWeights(config("Qwen2ForCausalLM", true), ElementType.Q8_0, 7)) {
      StoredTensor norm = weights.tensor("model.norm.weight", 256);
      StoredTensor bias = weights.tensor("model.layers.0.self_attn.k_proj.bias", 128);
      assertThat(norm.type()).isEqualTo(ElementType.F32);
      for (float value : Dequantiser.values(norm)) {
        assertThat(value).isCloseTo(1, within(0.05f));
      }
      for (float value : Dequantiser.values(bias)) {
        assertThat(value).isCloseTo(0, within(0.05f));
      }
    }
  }

  @Test
  void hasWhatTheArchitectureHas() {
    String queryNorm = "model.layers.0.self_attn.q_norm.weight";
    String queryBias = "model.layers.0.self_attn.q_proj.bias";
    try (DummyWeights qwen3 = weights("Qwen3ForCausalLM", true);
        DummyWeights qwen2 = weights("Qwen2ForCausalLM", false);
        DummyWeights llama = weights("LlamaForCausalLM", false)) {
      assertThat(qwen3.has(queryNorm)).isTrue();
      assertThat(qwen3.has(queryBias)).isFalse();
      assertThat(qwen3.has("lm_head.weight")).isFalse();
      assertThat(qwen2.has(queryNorm)).isFalse();
      assertThat(qwen2.has(queryBias)).isTrue();
      assertThat(qwen2.has("model.layers.0.self_attn.o_proj.bias")).isFalse();
      assertThat(llama.has(queryBias)).isFalse();
      assertThat(llama.has("lm_head.weight")).isTrue();
    }
  }

  @Test
  void countsTheBytesOfAllTensors() {
    try (DummyWeights weights = weights("LlamaForCausalLM", true)) {
      long layer = 512 * 256 + 2 * 128 * 256 + 256 * 512 + 3 * 768 * 256 + 2 * 256;
      assertThat(weights.totalBytes()).isEqualTo(2 * (1000 * 256 + 2 * layer + 256));
    }
  }

  @Test
  void refusesAnotherShape() {
    try (DummyWeights weights = weights("LlamaForCausalLM", true)) {
      assertThatThrownBy(() -> weights.tensor("model.norm.weight", 255))
          .isInstanceOf(CheckpointException.class)
          .hasMessageContaining("[256]")
          .hasMessageContaining("[255]");
    }
  }

  @Test
  void refusesRowsThatAreNoWholeBlocks() {
    ModelConfig odd = withHidden(config("LlamaForCausalLM", true), 384);
    assertThatThrownBy(() -> new DummyWeights(odd, ElementType.Q4_K, 0))
        .isInstanceOf(CheckpointException.class)
        .hasMessageContaining("blocks of 256")
        .hasMessageContaining("384");
  }

  @Test
  void refusesAnUnknownArchitecture() {
    assertThatThrownBy(() -> weights("Gemma3ForCausalLM", true))
        .isInstanceOf(CheckpointException.class)
        .hasMessageContaining("Gemma3ForCausalLM");
  }

  private static DummyWeights weights(String architecture, boolean tied) {
    return new DummyWeights(config(architecture, tied), ElementType.BF16, 7);
  }

  private static byte[] bytes(StoredTensor tensor) {
    return tensor.data().toArray(JAVA_BYTE);
  }

  private static ModelConfig withHidden(ModelConfig config, int hidden) {
    return new ModelConfig(
        config.architecture(),
        hidden,
        config.intermediateSize(),
        config.layers(),
        config.heads(),
        config.kvHeads(),
        config.headDim(),
        config.vocabularySize(),
        config.maxPositions(),
        config.rmsEpsilon(),
        config.ropeTheta(),
        config.ropeScaling(),
        config.ropeInterleaved(),
        config.tiedEmbeddings(),
        config.attentionBias(),
        config.mlpBias(),
        config.endOfSequence());
  }

  private static ModelConfig config(String architecture, boolean tied) {
    return new ModelConfig(
        architecture,
        256,
        768,
        2,
        8,
        2,
        64,
        1000,
        2048,
        1e-6f,
        10_000,
        new RopeScaling.None(),
        false,
        tied,
        false,
        false,
        List.of(2));
  }
}
