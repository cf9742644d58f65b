package io.flotilla.bench.dataset;

import org.jspecify.annotations.Nullable;

/** A dataset that cannot be used: the message names it, what is wrong, and the fix. */
public final class DatasetException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  public DatasetException(String message) {
    super(message);
  }

  public DatasetException(String message, @Nullable Throwable cause) {
    super(message, cause);
  }
}
