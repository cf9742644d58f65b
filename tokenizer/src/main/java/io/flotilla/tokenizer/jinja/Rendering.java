package io.flotilla.tokenizer.jinja;

import java.time.Clock;
import java.time.Duration;
import java.util.function.Supplier;

/** The rendering that goes on in this thread; jinjava calls functions without a context. */
record Rendering(Clock clock, long deadline, Duration limit) {
  private static final ScopedValue<Rendering> CURRENT = ScopedValue.newInstance();

  static <T> T call(Clock clock, Duration limit, Supplier<T> action) {
    Rendering rendering = new Rendering(clock, System.nanoTime() + limit.toNanos(), limit);
    return ScopedValue.where(CURRENT, rendering).call(action::get);
  }

  static Rendering current() {
    return CURRENT.get();
  }

  /**
   * @throws RefusedException when the rendering took longer than it may
   */
  static void checkTime() {
    Rendering current = CURRENT.get();
    if (System.nanoTime() - current.deadline > 0) {
      throw new RefusedException(
          "the chat template takes longer than " + current.limit.toMillis() + " ms");
    }
  }
}
