package io.flotilla.engine;

import static org.assertj.core.api.Assertions.assertThat;

import io.flotilla.engine.EngineStatistics.StageTime;
import org.junit.jupiter.api.Test;

class PipelineClockTest {
  private long now = 100;
  private final PipelineClock clock = new PipelineClock(() -> now);

  @Test
  void whatOfTheWorkAStageDidNotComputeIsItsBubble() {
    clock.workBegins();
    now += 50;
    assertThat(clock.read(new long[] {40, 10}))
        .containsExactly(new StageTime(40, 10), new StageTime(10, 40));
  }

  @Test
  void timeWithoutWorkIsNoBubble() {
    clock.workBegins();
    now += 50;
    clock.workEnds();
    now += 1000;
    assertThat(clock.read(new long[] {40})).containsExactly(new StageTime(40, 10));
    clock.workBegins();
    now += 5;
    assertThat(clock.read(new long[] {41})).containsExactly(new StageTime(41, 14));
  }

  @Test
  void aBubbleNeverShrinks() {
    clock.workBegins();
    now += 50;
    clock.read(new long[] {10});
    assertThat(clock.read(new long[] {12})).containsExactly(new StageTime(12, 40));
  }
}
