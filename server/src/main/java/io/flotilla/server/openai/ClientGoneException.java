package io.flotilla.server.openai;

/** The client does not listen any more: there is nobody to tell. */
public final class ClientGoneException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  public ClientGoneException() {
    super("the client is gone", null, false, false);
  }
}
