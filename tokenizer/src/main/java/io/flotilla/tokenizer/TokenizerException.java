package io.flotilla.tokenizer;

import org.jspecify.annotations.Nullable;

/**
 * A tokenizer or chat template that cannot be used: the message names it, what is wrong with it,
 * and the fix.
 */
public final class TokenizerException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  public TokenizerException(String message) {
    super(message);
  }

  public TokenizerException(String message, @Nullable Throwable cause) {
    super(message, cause);
  }
}
