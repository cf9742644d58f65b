package io.flotilla.executor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.within;

import io.flotilla.checkpoint.DummyWeights;
import io.flotilla.checkpoint.ElementType;
import io.flotilla.checkpoint.ModelConfig;
import io.flotilla.executor.LayoutPlan.RankPlan;
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
  @CsvSource({
    "2,1,1,1,false",
    "1,3,1,1,false",
    "2,2,1,1,true",
    "4,2,1,1,true",
    "1,1,2,1,false",
    "2,2,2,1,false",
    "4,1,1,2,false",
    "2,1,2,1,true",
    "4,1,2,2,true"
  })
  void theMemoryIsThatOfTheRanksThatServe(
      int tensor, int pipeline, int context, int tokens, boolean experts) {
    Topology topology = new Topology(1, pipeline, tensor, context, tokens, experts);
    ExecutorOptions options = TinyModel.options(topology, List.of());
    Random random = new Random(5);
    try (TinyModel shape =
        experts
            ? TinyModel.randomMixture(random, tensor * context, 2)
            : TinyModel.random(random, tensor, 2)) {
      DummyWeights weights = new DummyWeights(shape.config(), ElementType.BF16, 1);
      try (TinyModel model = new TinyModel("bf16", shape.config(), weights);
          LocalExecutor executor = model.start(options)) {
        List<MemoryPlan> first = new ArrayList<>();
        for (int stage = 0; stage < pipeline; stage++) {
          first.add(executor.memories().get(stage * tensor * context));
        }
        LayoutPlan plan = plan(options, model);
        assertThat(plan.ranks()).extracting(RankPlan::memory).isEqualTo(first);
        assertThat(plan.kvTokens()).isEqualTo((long) executor.blockSize() * executor.kvBlocks());
      }
    }
  }

  /** Embedding, attention and MLP each end in one sum; sampling adds a choice of 16 bytes. */
  @Test
  void countsTheBytesOfSumsBetweenRanks() {
    try (TinyModel model = model()) {
      ExecutorOptions options = TinyModel.options(4, 1, List.of());
      RankPlan rank = plan(options, model).ranks().getFirst();
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
      int moe = LAYERS - experts.denseLayers().size();
      double fullest = ExpertLot.mostOnOneRank(experts.count(), 2, experts.perToken());
      double more = (fullest - experts.perToken() / 2.0) * moe;
      long expert = 3L * HIDDEN * experts.intermediateSize();
      assertThat(spread.weightBytes() - split.weightBytes())
          .isPositive()
          .isCloseTo(Math.round(2 * more * expert), within(1L));
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
    assertThat(Layout.dividing(3, dense))
        .containsExactly(
            new Topology(1, 1, 1, 1, 1, false),
            new Topology(1, 1, 2, 1, 1, false),
            new Topology(1, 1, 1, 2, 1, false),
            new Topology(1, 2, 1, 1, 1, false),
            new Topology(1, 1, 1, 3, 1, false),
            new Topology(1, 3, 1, 1, 1, false));
    ModelConfig fewHeads = TinyModel.config("Qwen3ForCausalLM", 8, 2, 192, 300);
    assertThat(Layout.dividing(8, fewHeads))
        .doesNotHaveDuplicates()
        .contains(new Topology(1, 1, 4, 1, 2, false), new Topology(1, 2, 4, 1, 2, false))
        .contains(new Topology(1, 1, 8, 1, 4, false), new Topology(1, 1, 4, 2, 2, false))
        .doesNotContain(new Topology(1, 1, 4, 1, 4, false), new Topology(1, 1, 2, 1, 2, false));
    try (TinyModel mixture = TinyModel.randomMixture(new Random(3), 2)) {
      assertThat(Layout.dividing(2, mixture.config()))
          .contains(new Topology(1, 1, 2, 1, 1, true), new Topology(1, 1, 1, 2, 1, true))
          .doesNotContain(new Topology(1, 2, 1, 1, 1, true))
          .hasSize(6);
    }
  }

  /** One rank computes the row that is decoded, and each layer gives its keys to the others. */
  @Test
  void countsTheBytesOfRowsOverRanks() {
    try (TinyModel model = model()) {
      RankPlan alone = plan(TinyModel.options(1, 1, List.of()), model).ranks().getFirst();
      Topology topology = new Topology(1, 1, 1, 2, 1, false);
      RankPlan rank = plan(TinyModel.options(topology, List.of()), model).ranks().getFirst();
      long keys = 2L * 4 * 32 * 4 * LAYERS;
      assertThat(rank.prefill().reducedBytes() - rank.decode().reducedBytes())
          .isEqualTo((TinyModel.MAX_ROWS / 2 - 1) * keys);
      long head = 2 * 300L * HIDDEN;
      assertThat(rank.decode().weightBytes()).isEqualTo(alone.decode().weightBytes() - head / 2);
    }
  }

  /** Queries go to the other rank, and what it made of them comes back with two sums a head. */
  @Test
  void countsTheBytesOfTokensOverRanks() {
    ModelConfig config = TinyModel.config("Qwen3ForCausalLM", 8, 2, 192, 300);
    try (TinyModel model =
        new TinyModel("tiny", config, new DummyWeights(config, ElementType.BF16, 1))) {
      Topology topology = new Topology(1, 1, 4, 1, 2, false);
      LayoutPlan spread = plan(TinyModel.options(topology, List.of()), model);
      LayoutPlan copied = plan(TinyModel.options(4, 1, List.of()), model);
      long heads = 2;
      long more = LAYERS * 4 * (heads * 32 + heads * 32 + 2 * heads);
      assertThat(decoded(spread) - decoded(copied)).isEqualTo(more);
      assertThat(spread.kvBytesPerToken()).isEqualTo(copied.kvBytesPerToken() / 2);
      assertThat(spread.kvTokens()).isEqualTo(2 * copied.kvTokens());
    }
  }

  private static long decoded(LayoutPlan plan) {
    return plan.ranks().getFirst().decode().reducedBytes();
  }

  /** With whole experts on ranks that share out rows, these are sent there and back. */
  @Test
  void countsTheRowsThatGoToTheirExperts() {
    try (TinyModel model = TinyModel.randomMixture(new Random(3), 4)) {
      var experts = Objects.requireNonNull(model.config().experts());
      Topology all = new Topology(1, 1, 1, 4, 1, false);
      Topology some = new Topology(1, 1, 1, 4, 1, true);
      RankPlan split = plan(TinyModel.options(all, List.of()), model).ranks().getFirst();
      RankPlan whole = plan(TinyModel.options(some, List.of()), model).ranks().getFirst();
      int moe = LAYERS - experts.denseLayers().size();
      double reach = ExpertLot.reach(experts.count(), experts.count() / 4, experts.perToken());
      int computed = TinyModel.MAX_ROWS / 4;
      long rows = (long) Math.ceil(computed * reach);
      assertThat(rows).isLessThan(computed);
      long row = 4L * (2 * HIDDEN + experts.count());
      assertThat(whole.prefill().reducedBytes() - split.prefill().reducedBytes())
          .isEqualTo(3L * moe * (rows * row + 4 * Integer.BYTES));
      assertThat(whole.memory().weights()).isLessThan(split.memory().weights());
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
