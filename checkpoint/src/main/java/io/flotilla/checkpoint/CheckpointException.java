package io.flotilla.checkpoint;

import org.jspecify.annotations.Nullable;

/** A model that cannot be used: the message names the file, what is wrong with it, and the fix. */
public final class CheckpointException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  public CheckpointException(String message) {
    super(message);
  }

  public CheckpointException(String message, @Nullable Throwable cause) {
    super(message, cause);
  }
}
