package io.flotilla.cli.option;

/** A command line that cannot be honoured: the message names the flag and the fix. */
public final class UsageException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  public UsageException(String message) {
    super(message);
  }
}
