package io.flotilla.executor.wire;

/** The nodes of a replica do not find each other, do not belong together, or lost one of them. */
public final class NodeException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  public NodeException(String message) {
    super(message);
  }

  public NodeException(String message, Throwable cause) {
    super(message, cause);
  }
}
