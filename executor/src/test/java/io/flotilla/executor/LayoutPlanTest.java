package io.flotilla.executor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import io.flotilla.checkpoint.DummyWeights;
import io.flotilla.checkpoint.ElementType;
import io.flotilla.checkpoint.ModelConfig;
import io.flotilla.kernels.cpu.CpuDevice;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class LayoutPlanTest {
  private static final int HIDDEN = 64;
  private static final int LAYERS = 8;

  @ParameterizedTest
  @CsvSource({"1,1,false", "2,1,false", "1,3,false", "2,2,true", "4,2,true"})
  void theMemoryIsThatOfTheRanksThatServe(int tensor, int pipeline, boolean experts) {
    Topology topology = new Topology(1, pipeline, tensor, 1, 1, experts);
    ExecutorOptions options = TinyModel.options(topology, List.of());
    Random random = new Random(5);
    try (TinyModel shape =
        experts ? TinyModel.randomMixture(random, tensor) : TinyModel.random(random, tensor)) {
      DummyWeights weights = new DummyWeights(shape.config(), ElementType.BF16, 1);
      try (TinyModel model = new TinyModel("bf16", shape.config(), weights);
          LocalExecutor executor = model.start(options)) {
        List<MemoryPlan> first = new ArrayList<>();
        for (int stage = 0; stage < pipeline; stage++) {
          first.add(executor.memories().get(stage * tensor));
        }
        LayoutPlan plan = plan(options, model);
        assertThat(plan.ranks()).extracting(LayoutPlan.RankPlan::memory).isEqualTo(first);
        assertThat(plan.kvTokens()).isEqualTo(16L * executor.kvBlocks());
      }
    }
  }

  /** Embedding, attention and MLP each end in one sum; sampling adds a choice of 16 bytes. */
  @Test
  void countsTheBytesOfSumsBetweenRanks() {
    try (TinyModel model = model()) {
      ExecutorOptions options = TinyModel.options(4, 1, List.of());
      LayoutPlan.RankPlan rank = plan(options, model).ranks().getFirst();
      double sum = 2 * 3 / 4.0 * 4 * HIDDEN;
      assertThat(rank.decode().reducedBytes()).isEqualTo((long) ((1 + 2 * LAYERS) * sum) + 3 * 16);
      assertThat(rank.decode().passedBytes()).isZero();
      int rows = TinyModel.MAX_ROWS;
      assertThat(rank.prefill().reducedBytes())
          .isEqualTo((long) ((1 + 2 * LAYERS) * sum * rows) + 3 * 16);
    }
  }

  /** Residual and delta go on, the sampled token goes back. */
  @Test
  void countsTheBytesBetweenStages() {
    try (TinyModel model = model()) {
      LayoutPlan plan = plan(TinyModel.options(1, 2, List.of()), model);
      assertThat(plan.ranks().get(0).decode().passedBytes()).isEqualTo(2 * 4 * HIDDEN);
      assertThat(plan.ranks().get(1).decode().passedBytes()).isEqualTo(Integer.BYTES);
      assertThat(plan.ranks().get(0).decode().reducedBytes()).isZero();
    }
  }

  @Test
  void aStepReadsTheMatricesButNotTheEmbedding() {
    try (TinyModel model = model()) {
      StepCost decode = plan(TinyModel.options(1, 1, List.of()), model).ranks().getFirst().decode();
      long attention = HIDDEN * 32L * (8 + 2 * 4 + 8);
      long mlp = 3L * HIDDEN * 192;
      long weights = LAYERS * (attention + mlp) + 300L * HIDDEN;
      assertThat(decode.multiplyAdds()).isEqualTo(weights);
      assertThat(decode.weightBytes()).isEqualTo(2 * weights);
    }
  }

  @Test
  void aTokenReadsTheExpertsItChoosesAlone() {
    try (TinyModel mixture = TinyModel.randomMixture(new Random(3), 2);
        TinyModel model =
            new TinyModel(
                "", mixture.config(), new DummyWeights(mixture.config(), ElementType.BF16, 1))) {
      var experts = Objects.requireNonNull(mixture.config().experts());
      StepCost split = decode(model, false);
      StepCost spread = decode(model, true);
      assertThat(spread.weightBytes()).isEqualTo(split.weightBytes());
      int moe = LAYERS - experts.denseLayers().size();
      long chosen = 3L * HIDDEN * experts.intermediateSize() * experts.perToken() * moe / 2;
      long all = 3L * HIDDEN * experts.intermediateSize() * experts.count() * moe / 2;
      assertThat(spread.multiplyAdds()).isGreaterThan(chosen).isLessThan(all);
    }
  }

  private static StepCost decode(TinyModel model, boolean spread) {
    Topology topology = new Topology(1, 1, 2, 1, 1, spread);
    return plan(TinyModel.options(topology, List.of()), model).ranks().getFirst().decode();
  }

  @Test
  void aCacheThatHoldsNoSequenceIsRefused() {
    try (TinyModel model = model()) {
      ExecutorOptions options =
          new ExecutorOptions(Topology.SINGLE, TinyModel.MAX_LENGTH, 4, 48, 100, 16);
      assertThatIllegalArgumentException()
          .isThrownBy(() -> plan(options, model))
          .withMessageContaining("holds 0 blocks");
    }
  }

  @Test
  void findsEveryLayoutThatDivides() {
    ModelConfig dense = TinyModel.config("Qwen3ForCausalLM", 12, 4, 192, 300);
    assertThat(Layout.dividing(4, dense))
        .containsExactly(
            new Topology(1, 1, 1, 1, 1, false),
            new Topology(1, 1, 2, 1, 1, false),
            new Topology(1, 2, 1, 1, 1, false),
            new Topology(1, 3, 1, 1, 1, false),
            new Topology(1, 1, 4, 1, 1, false),
            new Topology(1, 2, 2, 1, 1, false),
            new Topology(1, 4, 1, 1, 1, false));
    try (TinyModel mixture = TinyModel.randomMixture(new Random(3), 2)) {
      assertThat(Layout.dividing(2, mixture.config()))
          .contains(new Topology(1, 1, 2, 1, 1, true))
          .hasSize(4);
    }
  }

  private static TinyModel model() {
    ModelConfig config = TinyModel.config("Qwen3ForCausalLM", 8, 4, 192, 300);
    return new TinyModel("tiny", config, new DummyWeights(config, ElementType.BF16, 1));
  }

  private static LayoutPlan plan(ExecutorOptions options, TinyModel model) {
    try (CpuDevice like = CpuDevice.open(1)) {
      return LayoutPlan.of(options, model.config(), model.weights(), like);
    }
  }
}
