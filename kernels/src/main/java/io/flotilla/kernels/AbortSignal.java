package io.flotilla.kernels;

/**
 * Tells every rank of a replica to stop waiting for the others. Raised once, from any thread; never
 * lowered.
 */
public final class AbortSignal {
  private volatile boolean raised;

  /** A signal nobody has raised. */
  public AbortSignal() {}

  /** Ends every wait that polls this signal. */
  public void raise() {
    raised = true;
  }

  public boolean isRaised() {
    return raised;
  }
}
