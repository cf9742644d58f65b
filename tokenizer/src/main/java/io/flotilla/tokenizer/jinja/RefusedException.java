package io.flotilla.tokenizer.jinja;

/** What a template says by {@code raise_exception}, or that it took too long. */
final class RefusedException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  RefusedException(String message) {
    super(message);
  }
}
