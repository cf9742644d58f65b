package io.flotilla.generation;

import static org.assertj.core.api.Assertions.assertThat;

import io.flotilla.executor.LayoutPlan;
import io.flotilla.executor.LayoutPlan.RankPlan;
import io.flotilla.executor.Topology;
import io.flotilla.generation.Machine.Speed;
import io.flotilla.generation.ModelPlan.PlannedLayout;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Objects;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ModelPlanTest {
  private static final long MIB = 1L << 20;
  private static final Speed SPEED = new Speed(3e12, 4e11, 4e14);
  private static final String DENSE =
      """
      {"architectures": ["Qwen3ForCausalLM"], "hidden_size": 1024, "intermediate_size": 3072,
       "num_hidden_layers": 28, "num_attention_heads": 16, "num_key_value_heads": 8,
       "head_dim": 128, "vocab_size": 151936, "max_position_embeddings": 4096,
       "rms_norm_eps": 1e-6, "rope_theta": 1000000, "tie_word_embeddings": true}
      """;
  private static final String MIXTURE =
      """
      {"architectures": ["Qwen3MoeForCausalLM"], "hidden_size": 512, "intermediate_size": 1024,
       "num_hidden_layers": 4, "num_attention_heads": 8, "num_key_value_heads": 4,
       "head_dim": 64, "vocab_size": 1000, "max_position_embeddings": 4096,
       "moe_intermediate_size": 256, "num_experts": 16, "num_experts_per_tok": 4,
       "norm_topk_prob": true, "decoder_sparse_step": 1, "mlp_only_layers": [],
       "rms_norm_eps": 1e-6, "rope_theta": 1000000, "tie_word_embeddings": true}
      """;

  @TempDir private Path folder;

  private ModelPlan plan(String config, int devices, long memory) throws IOException {
    Files.writeString(folder.resolve("config.json"), config);
    EngineOptions options = EngineOptions.of(folder.toString());
    return ModelPlan.of(options, new Machine("", devices, memory, SPEED), LoadListener.NONE);
  }

  private static PlannedLayout find(ModelPlan plan, Topology topology) {
    return plan.layouts().stream()
        .filter(layout -> layout.topology().equals(topology))
        .findFirst()
        .orElseThrow();
  }

  @Test
  void whatWeightsLeaveOfAGpuIsForTheKvCache() throws IOException {
    ModelPlan plan = plan(DENSE, 2, 4096 * MIB);
    LayoutPlan one = Objects.requireNonNull(find(plan, Topology.SINGLE).plan());
    assertThat(one.kvBytesPerToken()).isEqualTo(2 * 2 * 8 * 128 * 28);
    double left = 0.9 * 4096 * MIB - 768 * MIB - one.largestBesidesKvCache();
    assertThat(one.kvTokens()).isBetween((long) (left / 114_688) - 16, (long) (left / 114_688));
    LayoutPlan two = Objects.requireNonNull(find(plan, new Topology(1, 1, 2, 1, 1, false)).plan());
    assertThat(two.kvBytesPerToken()).isEqualTo(one.kvBytesPerToken() / 2);
    assertThat(two.kvTokens()).isGreaterThan(2 * one.kvTokens());
  }

  @Test
  void aLayoutThatDoesNotFitSaysWhy() throws IOException {
    ModelPlan plan = plan(DENSE, 8, 2048 * MIB);
    PlannedLayout one = find(plan, Topology.SINGLE);
    assertThat(one.plan()).isNull();
    assertThat(one.obstacle()).startsWith("--gpu-memory-utilization 0.90 of 2.00 GiB is");
    assertThat(plan.recommended().orElseThrow().plan()).isNotNull();
  }

  @Test
  void aTokenTakesAsLongAsItsWeightsTakeToRead() throws IOException {
    ModelPlan plan = plan(DENSE, 2, 8192 * MIB);
    PlannedLayout one = find(plan, Topology.SINGLE);
    long read = Objects.requireNonNull(one.plan()).ranks().getFirst().decode().weightBytes();
    assertThat(read).isGreaterThan(1_000_000_000);
    assertThat(one.decodeFloor()).isEqualTo(read / 3e12);
    PlannedLayout split = find(plan, new Topology(1, 1, 2, 1, 1, false));
    assertThat(split.decodeFloor()).isBetween(one.decodeFloor() / 2, one.decodeFloor() * 0.51);
    PlannedLayout stages = find(plan, new Topology(1, 2, 1, 1, 1, false));
    assertThat(stages.decodeFloor()).isGreaterThan(one.decodeFloor());
    assertThat(Objects.requireNonNull(stages.plan()).largestSent(RankPlan::decode))
        .isEqualTo(1024 * (4 + 2));
    assertThat(plan.recommended()).contains(split);
  }

  /** One rank has more of a token's whole experts than its share, and both sums are the same. */
  @Test
  void expertsAreSplitWhereOneRankWouldReadMore() throws IOException {
    ModelPlan plan = plan(MIXTURE, 2, 4096 * MIB);
    assertThat(plan.layouts()).hasSize(6);
    PlannedLayout split = find(plan, new Topology(1, 1, 2, 1, 1, false));
    PlannedLayout whole = find(plan, new Topology(1, 1, 2, 1, 1, true));
    assertThat(plan.sharesExpertsBetter(split)).isTrue();
    assertThat(plan.sharesExpertsBetter(whole)).isFalse();
    assertThat(plan.sharesExpertsBetter(find(plan, Topology.SINGLE))).isFalse();
    assertThat(plan.recommended()).contains(split);
  }

  /** Without them each of the ranks that share out rows would read all of a token's experts. */
  @Test
  void expertsAreWholeWhereThatReadsLessThanRowsTake() throws IOException {
    Topology rows = new Topology(1, 1, 1, 2, 1, false);
    Topology experts = new Topology(1, 1, 1, 2, 1, true);
    ModelPlan fast = plan(MIXTURE, 2, 0);
    assertThat(fast.sharesExpertsBetter(find(fast, experts))).isTrue();
    assertThat(fast.sharesExpertsBetter(find(fast, rows))).isFalse();
    Machine slowLinks = new Machine("", 2, 0, new Speed(3e12, 1e9, 4e14));
    ModelPlan slow = new ModelPlan(fast.config(), slowLinks, fast.layouts());
    assertThat(slow.sharesExpertsBetter(find(slow, experts))).isFalse();
    assertThat(slow.sharesExpertsBetter(find(slow, rows))).isTrue();
  }
}
