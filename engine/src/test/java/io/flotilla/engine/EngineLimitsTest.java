package io.flotilla.engine;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;

class EngineLimitsTest {
  @Test
  void namesTheFlagThatCannotBeHonoured() {
    assertThatThrownBy(() -> new EngineLimits(1, 1, 1, 0, true))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("--max-model-len is 1; it must be at least 2");
    assertThatThrownBy(() -> new EngineLimits(2, 0, 1, 0, true))
        .hasMessage("--max-num-seqs is 0; it must be at least 1");
    assertThatThrownBy(() -> new EngineLimits(2, 1, 1, -1, true))
        .hasMessage("--max-waiting is -1; it must be at least 0");
    assertThatThrownBy(() -> new EngineLimits(2, 9, 8, 0, true))
        .hasMessageStartingWith("--max-num-batched-tokens 8 is less than --max-num-seqs 9");
  }
}
