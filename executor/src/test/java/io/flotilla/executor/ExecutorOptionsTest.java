package io.flotilla.executor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;

class ExecutorOptionsTest {
  private static ExecutorOptions with(Topology topology) {
    return new ExecutorOptions(topology, 100, 4, 64, 1 << 20, 16);
  }

  @Test
  void refusesLayoutsThatAreNotThereYetByTheirFlag() {
    assertRefused(new Topology(2, 1, 1, 1, 1, false), "--data-parallel-size 2");
  }

  private static void assertRefused(Topology topology, String flag) {
    assertThatThrownBy(() -> with(topology))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageStartingWith(flag + " is not supported");
  }

  @Test
  void refusesWhatIsNotPositiveByItsFlag() {
    assertThatThrownBy(() -> new ExecutorOptions(Topology.SINGLE, 0, 1, 1, 1, 1))
        .hasMessage("--max-model-len is 0; it must be positive");
    assertThatThrownBy(() -> new ExecutorOptions(Topology.SINGLE, 1, -1, 1, 1, 1))
        .hasMessage("--max-num-seqs is -1; it must be positive");
    assertThatThrownBy(() -> new ExecutorOptions(Topology.SINGLE, 1, 1, 0, 1, 1))
        .hasMessage("--max-num-batched-tokens is 0; it must be positive");
    assertThatThrownBy(() -> new ExecutorOptions(Topology.SINGLE, 1, 1, 1, 0, 1))
        .hasMessage("--kv-cache-memory-bytes is 0; it must be positive");
    assertThatThrownBy(() -> new ExecutorOptions(Topology.SINGLE, 1, 1, 1, 1, 0))
        .hasMessage("--block-size is 0; it must be positive");
  }

  @Test
  void aSequenceNeedsItsLengthInBlocksRoundedUp() {
    assertThat(new ExecutorOptions(Topology.SINGLE, 96, 1, 1, 1, 16).blocksPerSequence())
        .isEqualTo(6);
    assertThat(new ExecutorOptions(Topology.SINGLE, 97, 1, 1, 1, 16).blocksPerSequence())
        .isEqualTo(7);
  }

  @Test
  void aBlockHoldsTheTokensOfAllRanksThatHoldThemBetweenThem() {
    Topology topology = new Topology(1, 1, 8, 1, 4, false);
    ExecutorOptions options = new ExecutorOptions(topology, 129, 1, 1, 1, 16);
    assertThat(options.tokensPerBlock()).isEqualTo(64);
    assertThat(options.blocksPerSequence()).isEqualTo(3);
  }

  @Test
  void aTopologyCountsTheRanksOfOneReplica() {
    assertThat(new Topology(8, 2, 3, 5, 3, false).ranksPerReplica()).isEqualTo(30);
    assertThatThrownBy(() -> new Topology(1, 1, 0, 1, 1, false))
        .isInstanceOf(IllegalArgumentException.class);
  }
}
