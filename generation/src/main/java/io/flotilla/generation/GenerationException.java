package io.flotilla.generation;

import io.flotilla.engine.TokenEvent.FailureCode;

/** A choice that could not be served. */
public final class GenerationException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  private final FailureCode code;

  public GenerationException(FailureCode code, String message) {
    super(message);
    this.code = code;
  }

  public FailureCode code() {
    return code;
  }
}
