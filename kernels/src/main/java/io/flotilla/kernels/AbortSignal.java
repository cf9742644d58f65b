package io.flotilla.kernels;

import java.util.ArrayList;
import java.util.List;

/**
 * Tells every rank of a replica to stop waiting for the others. Raised once, from any thread; never
 * lowered.
 */
public final class AbortSignal {
  private final List<Runnable> told = new ArrayList<>();
  private volatile boolean raised;

  /** A signal nobody has raised. */
  public AbortSignal() {}

  /** Ends every wait that polls this signal, and those of devices, which are told. */
  public void raise() {
    List<Runnable> now;
    synchronized (this) {
      raised = true;
      now = List.copyOf(told);
      told.clear();
    }
    now.forEach(Runnable::run);
  }

  /**
   * Has something done when the signal is raised, or at once where it is already.
   *
   * @param action runs once, on the thread that raises the signal; it does not wait
   */
  public void onRaise(Runnable action) {
    synchronized (this) {
      if (!raised) {
        told.add(action);
        return;
      }
    }
    action.run();
  }

  public boolean isRaised() {
    return raised;
  }
}
