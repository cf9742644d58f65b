package io.flotilla.fleet.remote;

/** A replica that runs in a process of its own did not start, or has ended; with the cause. */
public final class ReplicaLostException extends RuntimeException {
  private static final long serialVersionUID = 1;

  public ReplicaLostException(String message) {
    super(message);
  }
}
