package io.flotilla.fleet.remote;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;

class RestartPauseTest {
  private final RestartPause pause = new RestartPause();

  @Test
  void doublesUpToAMinute() {
    assertThat(LongStream.range(0, 8).map(_ -> pause.next(0)))
        .containsExactly(1L, 2L, 4L, 8L, 16L, 32L, 60L, 60L);
  }

  @Test
  void isShortAgainAfterAMinuteOfService() {
    pause.next(0);
    pause.next(0);
    pause.served(0);
    assertThat(pause.next(Duration.ofSeconds(59).toNanos())).isEqualTo(4);
    pause.served(0);
    assertThat(pause.next(Duration.ofSeconds(61).toNanos())).isEqualTo(1);
  }
}
