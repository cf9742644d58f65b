package io.flotilla.generation;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class KvCacheBudgetTest {
  private static final long GIB = 1L << 30;

  @Test
  void takesWhatAllSequencesCanUse() {
    assertThat(new KvCacheBudget(16 << 10, 64 * GIB, GIB).bytes(2048, 4)).isEqualTo(128L << 20);
  }

  @Test
  void takesNoMoreThanAShareOfWhatTheWeightsLeave() {
    assertThat(new KvCacheBudget(1 << 20, 6 * GIB, GIB).bytes(40_960, 256))
        .isEqualTo((long) (0.4 * 5 * GIB));
  }

  @Test
  void neverIsNothing() {
    assertThat(new KvCacheBudget(1 << 20, GIB, 2 * GIB).bytes(40_960, 256)).isEqualTo(1 << 20);
  }

  @Test
  void findsMemory() {
    assertThat(KvCacheBudget.availableMemory()).isPositive();
  }
}
