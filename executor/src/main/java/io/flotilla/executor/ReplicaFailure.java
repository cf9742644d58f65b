package io.flotilla.executor;

import io.flotilla.kernels.AbortSignal;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;

/**
 * The first cause of a replica's failure. Whoever reports it first is right: ranks that wait for
 * others are aborted only afterwards, so what ends their waits is never taken for the cause.
 * Thread-safe.
 */
final class ReplicaFailure {
  private final AtomicReference<@Nullable Throwable> first = new AtomicReference<>();
  private final AbortSignal abort = new AbortSignal();
  private final List<Runnable> listeners = new CopyOnWriteArrayList<>();

  /** Raised once there is a cause: ends the waits of ranks for each other. */
  AbortSignal abort() {
    return abort;
  }

  /** Adds what is to be done at each report, the first and later ones; it must not throw. */
  void onReport(Runnable listener) {
    listeners.add(listener);
  }

  /** Reports a failure; the cause stays that of the first report. */
  void report(Throwable cause) {
    first.compareAndSet(null, cause);
    abort.raise();
    listeners.forEach(Runnable::run);
  }

  /** The first cause, or null while the replica lives. */
  @Nullable Throwable cause() {
    return first.get();
  }

  /**
   * The first cause.
   *
   * @throws NullPointerException while the replica lives
   */
  Throwable requireCause() {
    return Objects.requireNonNull(first.get());
  }
}
