package io.flotilla.executor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import io.flotilla.checkpoint.DummyWeights;
import io.flotilla.checkpoint.ElementType;
import io.flotilla.checkpoint.ModelConfig;
import io.flotilla.model.StageSlice;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import org.junit.jupiter.api.Test;

class LayoutTest {
  private static final ModelConfig CONFIG = TinyModel.config("Qwen3ForCausalLM", 8, 4, 192, 300);

  @Test
  void refusesHeadsThatDoNotDivide() {
    assertThatIllegalArgumentException()
        .isThrownBy(() -> layout(3, 1, List.of()))
        .withMessage("--tensor-parallel-size 3 does not divide 8 query heads");
  }

  @Test
  void refusesKeyValueHeadsThatNeitherDivideNorRepeat() {
    ModelConfig config = TinyModel.config("Qwen3ForCausalLM", 12, 4, 192, 300);
    assertThatIllegalArgumentException()
        .isThrownBy(() -> Layout.of(topology(6, 1), List.of(), config))
        .withMessage(
            "--tensor-parallel-size 6 neither divides 4 key-value heads nor is a multiple of them");
  }

  @Test
  void refusesAnMlpThatDoesNotDivide() {
    ModelConfig config = TinyModel.config("Qwen3ForCausalLM", 8, 4, 100, 300);
    assertThatIllegalArgumentException()
        .isThrownBy(() -> Layout.of(topology(8, 1), List.of(), config))
        .withMessage("--tensor-parallel-size 8 does not divide 100 columns of the MLP");
  }

  @Test
  void refusesTokensSpreadOverRanksWithDifferentHeads() {
    assertThatIllegalArgumentException()
        .isThrownBy(() -> Layout.of(new Topology(1, 1, 4, 1, 2, false), List.of(), CONFIG))
        .withMessage(
            "--decode-context-parallel-size 2 does not divide the 1 ranks that hold each key-value"
                + " head: --tensor-parallel-size 4 over 4 heads");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> Layout.of(new Topology(1, 1, 8, 1, 4, false), List.of(), CONFIG))
        .withMessage(
            "--decode-context-parallel-size 4 does not divide the 2 ranks that hold each key-value"
                + " head: --tensor-parallel-size 8 over 4 heads");
    assertThat(Layout.of(new Topology(1, 1, 8, 1, 2, false), List.of(), CONFIG).decodeContext())
        .isEqualTo(2);
  }

  @Test
  void refusesExpertsThatTheRanksOfAStageDoNotShareEvenly() {
    ModelConfig config;
    try (TinyModel model = TinyModel.randomMixture(new Random(1), 2)) {
      config = model.config();
    }
    int experts = Objects.requireNonNull(config.experts()).count();
    assertThatIllegalArgumentException()
        .isThrownBy(() -> Layout.of(new Topology(1, 1, 2, 3, 1, true), List.of(), config))
        .withMessage(
            "--tensor-parallel-size 2 x --prefill-context-parallel-size 3 with"
                + " --enable-expert-parallel does not divide %d experts",
            experts);
  }

  @Test
  void countsTheRanksThatShareOutRows() {
    Layout layout = Layout.of(new Topology(1, 2, 2, 3, 1, false), List.of(), CONFIG);
    assertThat(layout.ranks()).isEqualTo(12);
    assertThat(layout.stage(5)).isZero();
    assertThat(layout.stage(6)).isEqualTo(1);
    assertThat(layout.tensorPlace(7).rank()).isEqualTo(1);
  }

  @Test
  void ranksThatHoldTokensBetweenThemHaveBlocksForAsManyTimesTheTokens() {
    ModelConfig config = TinyModel.config("Qwen3ForCausalLM", 8, 1, 192, 300);
    try (TinyModel model =
            new TinyModel("one head", config, new DummyWeights(config, ElementType.F32, 1));
        LocalExecutor whole = model.start(4, 1);
        LocalExecutor spread =
            model.start(TinyModel.options(new Topology(1, 1, 4, 1, 4, false), List.of()))) {
      assertThat(spread.memory().kvBlock()).isEqualTo(whole.memory().kvBlock());
      assertThat(spread.kvBlocks()).isEqualTo(whole.kvBlocks());
      assertThat(spread.blockSize()).isEqualTo(4 * whole.blockSize());
    }
  }

  @Test
  void refusesMoreStagesThanLayers() {
    assertThatIllegalArgumentException()
        .isThrownBy(() -> layout(1, 9, List.of()))
        .withMessage("--pipeline-parallel-size 9 is more than the model's 8 layers");
  }

  @Test
  void refusesLayersThatAreNotTheModels() {
    assertThatIllegalArgumentException()
        .isThrownBy(() -> layout(1, 2, List.of(4, 3)))
        .withMessageContaining("--pipeline-layers [4, 3] names 7 layers in 2 stages")
        .withMessageContaining("the model has 8 layers");
  }

  @Test
  void countsTheHeadAsTheLayersThatWeighAsMuch() {
    // Of 64 x 64 the head of 300 tokens weighs less than a layer; of 6000, a few.
    assertThat(sizes(layout(1, 2, List.of()))).containsExactly(4, 4);
    ModelConfig config = TinyModel.config("Qwen3ForCausalLM", 2, 2, 64, 1200);
    assertThat(sizes(Layout.of(topology(1, 2), List.of(), config))).containsExactly(5, 3);
    assertThat(sizes(Layout.of(topology(1, 4), List.of(), config))).containsExactly(2, 2, 3, 1);
  }

  @Test
  void takesTheLayersAskedFor() {
    Layout layout = layout(2, 3, List.of(1, 5, 2));
    assertThat(layout.stages())
        .containsExactly(
            new StageSlice(0, 1, true, false),
            new StageSlice(1, 6, false, false),
            new StageSlice(6, 8, false, true));
    assertThat(layout.ranks()).isEqualTo(6);
  }

  @Test
  void refusesAQuantisedSplitInsideABlock() {
    ModelConfig config = TinyModel.config("LlamaForCausalLM", 8, 4, 32, 300);
    try (TinyModel model =
        new TinyModel("quantised", config, new DummyWeights(config, ElementType.Q8_0, 1))) {
      assertThatIllegalArgumentException()
          .isThrownBy(() -> model.start(2, 1))
          .withMessage(
              "--tensor-parallel-size 2 splits the 32 columns of"
                  + " model.layers.0.mlp.down_proj.weight into parts of 16, no whole blocks of 32"
                  + " (Q8_0): use fewer ranks, or a file of another type");
    }
  }

  @Test
  void everyRankHasTheBlocksOfTheRankWithTheFewest() {
    try (TinyModel model =
            new TinyModel("uneven", CONFIG, new DummyWeights(CONFIG, ElementType.F32, 1));
        LocalExecutor executor = model.start(TinyModel.options(2, 2, List.of(1, 7)))) {
      List<MemoryPlan> memories = executor.memories();
      assertThat(memories).hasSize(4).allMatch(plan -> plan.kvBlocks() == executor.kvBlocks());
      assertThat(memories.getLast().kvBlock()).isEqualTo(7 * memories.getFirst().kvBlock());
      assertThat(executor.kvBlocks())
          .isEqualTo(
              (int)
                  (TinyModel.options(1, 1, List.of()).kvCacheBytes()
                      / memories.getLast().kvBlock()));
    }
  }

  @Test
  void theRanksWeightsAreTheModelsWithNormsOnEveryRankOfAStage() {
    try (TinyModel model =
            new TinyModel("shared", CONFIG, new DummyWeights(CONFIG, ElementType.F32, 1));
        LocalExecutor one = model.start(1, 1);
        LocalExecutor many = model.start(4, 2)) {
      long norms = 4L * (CONFIG.layers() * (2L * 64 + 2 * 32) + 64);
      long sum = many.memories().stream().mapToLong(MemoryPlan::weights).sum();
      assertThat(sum).isEqualTo(one.memory().weights() + 3 * norms);
    }
  }

  private static Layout layout(int tensor, int pipeline, List<Integer> layers) {
    return Layout.of(topology(tensor, pipeline), layers, CONFIG);
  }

  private static Topology topology(int tensor, int pipeline) {
    return new Topology(1, pipeline, tensor, 1, 1, false);
  }

  private static List<Integer> sizes(Layout layout) {
    return layout.stages().stream().map(StageSlice::layers).toList();
  }
}
