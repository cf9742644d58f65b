package io.flotilla.bench;

import static org.assertj.core.api.Assertions.assertThat;

import io.flotilla.bench.client.Chunk;
import io.flotilla.bench.report.RequestOutcome;
import org.junit.jupiter.api.Test;

class RequestTimerTest {
  private long now = 1_000;

  private static Chunk token(String text) {
    return new Chunk(true, text, null, 0, 0, null);
  }

  @Test
  void takesTimesOfTokenEventsAlone() {
    RequestTimer timer = new RequestTimer(() -> now, 5);
    now = 1_100;
    timer.accept(token(""));
    now = 1_130;
    timer.accept(token("a"));
    now = 1_180;
    timer.accept(token("b"));
    now = 9_999;
    timer.accept(new Chunk(false, "", null, 12, 3, null));

    RequestOutcome outcome = timer.finish(null);

    assertThat(outcome.success()).isTrue();
    assertThat(outcome.start()).isEqualTo(1_000);
    assertThat(outcome.timeToFirstToken()).isEqualTo(100);
    assertThat(outcome.interTokenLatencies()).containsExactly(30, 50);
    assertThat(outcome.latency()).isEqualTo(180);
    assertThat(outcome.promptTokens()).isEqualTo(12);
    assertThat(outcome.outputTokens()).isEqualTo(3);
    assertThat(outcome.text()).isEqualTo("ab");
  }

  @Test
  void aStreamWithoutATokenIsAFailure() {
    RequestTimer timer = new RequestTimer(() -> now, 5);

    assertThat(timer.finish(null).error()).isEqualTo("the stream ended without a token");
  }

  @Test
  void anErrorEventIsAFailure() {
    RequestTimer timer = new RequestTimer(() -> now, 5);
    timer.accept(token("a"));
    timer.accept(new Chunk(false, "", null, 0, 0, "the replica failed"));

    assertThat(timer.finish(null).error()).isEqualTo("the replica failed");
  }

  @Test
  void keepsEveryGapOfALongAnswer() {
    RequestTimer timer = new RequestTimer(() -> now, 1);
    for (int i = 0; i < 1_000; i++) {
      now += i;
      timer.accept(token("x"));
    }

    assertThat(timer.finish(null).interTokenLatencies()).hasSize(999).endsWith(998, 999);
  }
}
