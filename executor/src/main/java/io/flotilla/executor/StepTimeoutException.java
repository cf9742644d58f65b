package io.flotilla.executor;

/** A rank stood still in the middle of a step. Its stack trace is where the rank stood. */
public final class StepTimeoutException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  public StepTimeoutException(String message) {
    super(message);
  }
}
