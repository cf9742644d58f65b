package io.flotilla.kernels;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;

class AbortSignalTest {
  private final AbortSignal signal = new AbortSignal();
  private final AtomicInteger told = new AtomicInteger();

  @Test
  void tellsOnceHoweverOftenItIsRaised() {
    signal.onRaise(told::incrementAndGet);
    assertThat(told).hasValue(0);
    signal.raise();
    signal.raise();
    assertThat(told).hasValue(1);
  }

  @Test
  void tellsAtOnceWhereItIsRaisedAlready() {
    signal.raise();
    signal.onRaise(told::incrementAndGet);
    assertThat(told).hasValue(1);
  }
}
