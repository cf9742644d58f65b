package io.flotilla.server.openai;

/** A request that gets an error for an answer. */
public final class RefusedException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  private final transient OpenAiError error;

  public RefusedException(OpenAiError error) {
    super(error.message(), null, false, false);
    this.error = error;
  }

  /** A field is at fault. */
  static RefusedException field(String name, String message) {
    return new RefusedException(OpenAiError.invalid(name, message));
  }

  public OpenAiError error() {
    return error;
  }
}
