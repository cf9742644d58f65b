package io.flotilla.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.flotilla.checkpoint.CheckpointException;
import io.flotilla.checkpoint.DummyWeights;
import io.flotilla.checkpoint.ElementType;
import io.flotilla.checkpoint.ModelConfig;
import io.flotilla.checkpoint.RopeScaling;
import io.flotilla.kernels.AttentionBatch;
import io.flotilla.kernels.AttentionShape;
import io.flotilla.kernels.KvCache;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import io.flotilla.kernels.TensorType;
import io.flotilla.model.StageInput.Activations;
import io.flotilla.model.StageInput.Ids;
import io.flotilla.model.layer.ShardLoader;
import io.flotilla.model.layer.StepRows;
import io.flotilla.model.layer.TensorParallel;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ArchitecturesTest {
  private static final int LAYERS = 3;
  private static final int BLOCK_SIZE = 16;
  private final CountingDevice device = new CountingDevice();
  private final Stream stream = device.openStream();
  private final List<DummyWeights> opened = new ArrayList<>();

  @AfterEach
  void close() {
    stream.close();
    device.close();
    opened.forEach(DummyWeights::close);
  }

  @Test
  void namesWhatIsSupported() {
    assertThat(Architectures.supported())
        .containsExactly(
            "LlamaForCausalLM",
            "MixtralForCausalLM",
            "Qwen2ForCausalLM",
            "Qwen3ForCausalLM",
            "Qwen3MoeForCausalLM");
    for (String architecture : Architectures.supported()) {
      assertThatCode(() -> Architectures.requireSupported(config(architecture, false)))
          .doesNotThrowAnyException();
    }
  }

  @Test
  void refusesAnotherArchitectureWithTheSupportedOnes() {
    ModelConfig config = config("Gemma3ForCausalLM", false);
    assertThatThrownBy(() -> Architectures.requireSupported(config))
        .isInstanceOf(CheckpointException.class)
        .hasMessage(
            "the architecture Gemma3ForCausalLM is not supported; supported are LlamaForCausalLM,"
                + " MixtralForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM, Qwen3MoeForCausalLM");
  }

  @ParameterizedTest
  @ValueSource(strings = {"LlamaForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"})
  void theFootprintIsWhatTheModelAllocates(String architecture) {
    for (boolean biases : new boolean[] {false, true}) {
      ModelConfig config = config(architecture, biases);
      long before = device.allocated();
      CausalLm model = load(config, StageSlice.whole(config));
      CausalLm.Footprint footprint = model.footprint();
      assertThat(footprint.widened() + footprint.activations() + footprint.logits())
          .isEqualTo(device.allocated() - before);
      assertThat(footprint.logits()).isEqualTo(2L * (3 * 24 + 31) * Float.BYTES);
      assertThat(model.attention()).isEqualTo(new AttentionShape(4, 2, 6));
      assertThat(model.vocabularySize()).isEqualTo(31);
    }
  }

  @Test
  void widensNormsAndBiases() {
    int norms = (2 * LAYERS + 1) * 24;
    int headNorms = LAYERS * 2 * 6;
    int projectionBiases = LAYERS * (4 + 2 + 2) * 6;
    int otherBiases = LAYERS * (24 + 2 * 20 + 24);
    assertThat(widened("LlamaForCausalLM", false)).isEqualTo(norms);
    assertThat(widened("LlamaForCausalLM", true)).isEqualTo(norms + projectionBiases + otherBiases);
    assertThat(widened("Qwen2ForCausalLM", false)).isEqualTo(norms + projectionBiases);
    assertThat(widened("Qwen3ForCausalLM", false)).isEqualTo(norms + headNorms);
  }

  private long widened(String architecture, boolean biases) {
    ModelConfig config = config(architecture, biases);
    return load(config, StageSlice.whole(config)).footprint().widened() / Float.BYTES;
  }

  @Test
  void aStageWithoutAHeadHasNoLogits() {
    CausalLm model = load(config("Qwen3ForCausalLM", false), new StageSlice(0, 1, true, false));
    assertThat(model.footprint().logits()).isZero();
    Tensor ids = integers(1, 2);
    Activations activations = forward(model, new Ids(ids), 2);
    Tensor rows = integers(0);
    assertThatThrownBy(() -> model.logits(stream, activations, rows))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("has no head");
  }

  @Test
  void stagesInARowComputeWhatTheWholeModelDoes() {
    ModelConfig config = config("Qwen3ForCausalLM", false);
    Ids ids = new Ids(integers(3, 1, 4, 1, 5));
    CausalLm whole = load(config, StageSlice.whole(config));
    float[] expected = logits(whole, forward(whole, ids, 5), 4, 1);
    CausalLm first = load(config, new StageSlice(0, 1, true, false));
    CausalLm last = load(config, new StageSlice(1, LAYERS, false, true));
    Activations between = forward(first, ids, 5);
    assertThat(logits(last, forward(last, between, 5), 4, 1)).containsExactly(expected);
    assertThat(expected).hasSize(2 * 31).doesNotContain(0f, Float.NaN);
  }

  @Test
  void aStageRefusesTheInputOfAnother() {
    ModelConfig config = config("Qwen3ForCausalLM", false);
    CausalLm first = load(config, new StageSlice(0, 1, true, false));
    CausalLm last = load(config, new StageSlice(1, LAYERS, false, true));
    Ids ids = new Ids(integers(1));
    Activations activations = forward(first, ids, 1);
    assertThatThrownBy(() -> forward(last, ids, 1)).isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> forward(first, activations, 1))
        .isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void aStageHoldsAtLeastOneLayer() {
    assertThatThrownBy(() -> new StageSlice(2, 2, false, true))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("no layers in 2 .. 2");
  }

  private CausalLm load(ModelConfig config, StageSlice slice) {
    DummyWeights weights = new DummyWeights(config, ElementType.F32, 1);
    opened.add(weights);
    ShardLoader loader = new ShardLoader(weights, device, stream, TensorParallel.SINGLE);
    return Architectures.load(config, loader, new ModelLimits(slice, 32, 8, 2));
  }

  private Activations forward(CausalLm model, StageInput input, int rows) {
    List<KvCache> caches =
        IntStream.range(0, model.slice().layers())
            .mapToObj(_ -> device.allocateKvCache(model.attention(), 1, BLOCK_SIZE))
            .toList();
    AttentionBatch batch =
        new AttentionBatch(
            rows,
            1,
            integers(new int[rows]),
            integers(IntStream.range(0, rows).toArray()),
            integers(0, rows),
            integers(0));
    return model.forward(stream, input, StepRows.all(batch), caches);
  }

  private float[] logits(CausalLm model, Activations activations, int... rows) {
    Tensor logits = model.logits(stream, activations, integers(rows));
    float[] values = new float[rows.length * logits.columns()];
    stream.download(logits.buffer(), MemorySegment.ofArray(values));
    stream.synchronize();
    return values;
  }

  private Tensor integers(int... values) {
    Tensor tensor = Tensor.allocate(device, TensorType.I32, 1, values.length);
    stream.upload(MemorySegment.ofArray(values), tensor.buffer());
    stream.synchronize();
    return tensor;
  }

  private static ModelConfig config(String architecture, boolean biases) {
    return new ModelConfig(
        architecture,
        24,
        20,
        LAYERS,
        4,
        2,
        6,
        31,
        64,
        1e-6f,
        10_000,
        new RopeScaling.None(),
        false,
        false,
        biases,
        biases && architecture.startsWith("Llama"),
        List.of());
  }
}
