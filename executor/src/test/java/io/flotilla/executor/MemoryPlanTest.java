package io.flotilla.executor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.flotilla.model.CausalLm.Footprint;
import org.junit.jupiter.api.Test;

class MemoryPlanTest {
  /** Sequences of 100 tokens: 7 blocks of 16. */
  private static ExecutorOptions options(long kvCacheBytes) {
    return new ExecutorOptions(Topology.SINGLE, 100, 4, 64, kvCacheBytes, 16);
  }

  @Test
  void blocksAreWhatFitsTheBudgetRoundedDown() {
    assertThat(MemoryPlan.fittingBlocks(options(7_000), 1_000)).isEqualTo(7);
    assertThat(MemoryPlan.fittingBlocks(options(8_999), 1_000)).isEqualTo(8);
    assertThat(MemoryPlan.fittingBlocks(options(9_000), 1_000)).isEqualTo(9);
  }

  @Test
  void tokensOfTheCacheStayCountable() {
    assertThat(MemoryPlan.fittingBlocks(options(Long.MAX_VALUE), 1))
        .isEqualTo(Integer.MAX_VALUE / 16);
  }

  @Test
  void refusesABudgetThatOneSequenceDoesNotFitWithTheArithmetic() {
    ExecutorOptions options = options(6L << 20);
    assertThatThrownBy(() -> MemoryPlan.fittingBlocks(options, 1 << 20))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage(
            "one sequence of --max-model-len 100 needs 7 KV blocks of 16 tokens, 1048576 bytes"
                + " each: 7.0 MiB; --kv-cache-memory-bytes 6291456 holds 6 blocks. Set"
                + " --kv-cache-memory-bytes to at least 7340032 or --max-model-len to at most 96");
  }

  @Test
  void doesNotOfferALengthWhenNotOneBlockFits() {
    ExecutorOptions options = options(999);
    assertThatThrownBy(() -> MemoryPlan.fittingBlocks(options, 1_000))
        .hasMessageContaining("holds 0 blocks")
        .hasMessageEndingWith("Set --kv-cache-memory-bytes to at least 7000");
  }

  @Test
  void theTotalIsTheSumOfAllAccounts() {
    MemoryPlan plan =
        new MemoryPlan(1, new Footprint(20, 300, 4_000), 50_000, 1_000, 600, options(1));
    assertThat(plan.kvCache()).isEqualTo(600_000);
    assertThat(plan.total()).isEqualTo(654_321);
  }

  @Test
  void aCacheOfManyBlocksIsCountedInLongs() {
    MemoryPlan plan = new MemoryPlan(0, new Footprint(0, 0, 0), 0, 1 << 20, 1 << 20, options(1));
    assertThat(plan.total()).isEqualTo(1L << 40);
  }

  @Test
  void describesEveryAccountOnALine() {
    MemoryPlan plan =
        new MemoryPlan(
            3L << 30, new Footprint(1 << 20, 2 << 20, 3 << 20), 4 << 20, 1 << 20, 10, options(1));
    assertThat(plan.describe().lines().map(String::strip))
        .containsExactly(
            "3.00 GiB  weights, as stored",
            "1.0 MiB  norms and biases in float32",
            "2.0 MiB  activations of 64 tokens, rotations of 100 positions",
            "3.0 MiB  logits",
            "4.0 MiB  step inputs",
            "10.0 MiB  KV cache, 10 blocks of 16 tokens: 160 tokens, 1.6 sequences of 100",
            "3.02 GiB  total");
  }

  @Test
  void aStartedExecutorAccountsForItsModel() {
    try (OpenModel model = OpenModel.open("tiny-yarn");
        LocalExecutor executor = model.start(1, 2, 32, 9)) {
      MemoryPlan plan = executor.memory();
      assertThat(plan.weights()).isEqualTo(model.weights().totalBytes());
      assertThat(plan.kvBlocks()).isEqualTo(executor.kvBlocks()).isEqualTo(9);
      // Keys of 12 elements, values of 12 rounded up to 16, of 3 heads and 2 layers.
      assertThat(plan.kvBlock()).isEqualTo(2 * 3 * 16 * (12 + 16) * Float.BYTES);
      assertThat(plan.model().widened()).isPositive();
      assertThat(plan.stepInputs()).isPositive();
    }
  }
}
