package io.flotilla.executor;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

class StepWatchdogTest {
  private long now;
  private long progress;
  private final StepWatchdog watchdog = new StepWatchdog(() -> now);

  /** Polls a step that stands still, until it is called hung or the time is over. */
  private @Nullable Duration silent(long step, Duration time) {
    for (long end = now + time.toNanos(); now < end; ) {
      now += StepWatchdog.PERIOD.toNanos();
      Duration silence = watchdog.poll(step, progress);
      if (silence != null) {
        return silence;
      }
    }
    return null;
  }

  @Test
  void theFirstStepHasAMinute() {
    assertThat(silent(0, Duration.ofSeconds(60))).isNull();
    assertThat(silent(0, Duration.ofSeconds(1))).isGreaterThan(Duration.ofSeconds(60));
  }

  @Test
  void laterStepsHaveTwoSeconds() {
    assertThat(silent(0, Duration.ofSeconds(1))).isNull();
    assertThat(silent(1, Duration.ofSeconds(2))).isNull();
    assertThat(silent(1, Duration.ofSeconds(1)))
        .isBetween(Duration.ofSeconds(2), Duration.ofMillis(2200));
  }

  @Test
  void progressStartsTheSilenceAgain() {
    assertThat(silent(0, Duration.ofSeconds(1))).isNull();
    for (int i = 0; i < 100; i++) {
      progress++;
      assertThat(silent(1, Duration.ofSeconds(1))).isNull();
    }
  }

  @Test
  void aSilenceThatEndedIsAllowedFourTimesOver() {
    assertThat(silent(0, Duration.ofSeconds(10))).isNull();
    progress++;
    assertThat(silent(0, Duration.ofSeconds(1))).isNull();
    assertThat(silent(1, Duration.ofSeconds(39))).isNull();
    assertThat(silent(1, Duration.ofSeconds(3))).isGreaterThan(Duration.ofSeconds(39));
  }

  @Test
  void aReplicaWithoutAStepIsNotHung() {
    assertThat(silent(0, Duration.ofSeconds(1))).isNull();
    assertThat(silent(-1, Duration.ofHours(1))).isNull();
    assertThat(silent(1, Duration.ofSeconds(2))).isNull();
  }

  @Test
  void timeInWhichTheWatchdogSleptDoesNotCount() {
    assertThat(silent(0, Duration.ofSeconds(1))).isNull();
    assertThat(silent(1, Duration.ofSeconds(1))).isNull();
    now += Duration.ofHours(8).toNanos();
    assertThat(watchdog.poll(1, progress)).isNull();
    assertThat(silent(1, Duration.ofSeconds(2))).isNotNull();
  }
}
