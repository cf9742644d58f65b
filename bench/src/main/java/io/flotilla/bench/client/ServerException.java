package io.flotilla.bench.client;

import org.jspecify.annotations.Nullable;

/** A server that cannot be reached, or that refuses: the message says which and why. */
public final class ServerException extends Exception {
  private static final long serialVersionUID = 1L;

  public ServerException(String message) {
    super(message);
  }

  public ServerException(String message, @Nullable Throwable cause) {
    super(message, cause);
  }
}
