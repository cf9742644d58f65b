package io.flotilla.generation;

import java.util.ArrayDeque;
import java.util.Deque;
import org.jspecify.annotations.Nullable;

/** What was opened on the way to a model, closed in the opposite order, once. */
final class OpenedParts implements AutoCloseable {
  private final Deque<Runnable> closings = new ArrayDeque<>();

  /** Remembers how to close what was opened last. */
  synchronized void add(Runnable closing) {
    closings.push(closing);
  }

  /** Closes everything, also after one part fails to close; the first failure is thrown then. */
  @Override
  public synchronized void close() {
    RuntimeException failure = null;
    for (Runnable next = closings.poll(); next != null; next = closings.poll()) {
      failure = close(next, failure);
    }
    if (failure != null) {
      throw failure;
    }
  }

  private static @Nullable RuntimeException close(
      Runnable closing, @Nullable RuntimeException earlier) {
    try {
      closing.run();
      return earlier;
    } catch (RuntimeException failure) {
      if (earlier == null) {
        return failure;
      }
      earlier.addSuppressed(failure);
      return earlier;
    }
  }
}
