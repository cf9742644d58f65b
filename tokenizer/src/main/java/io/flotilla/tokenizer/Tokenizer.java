package io.flotilla.tokenizer;

import org.jspecify.annotations.Nullable;

/** A model's vocabulary. Thread-safe. */
public interface Tokenizer extends AutoCloseable {
  /**
   * The ids of a text. Special tokens written in the text become their ids.
   *
   * @param addSpecialTokens whether the tokenizer's own prefix and suffix (such as a beginning of
   *     sequence) are added
   */
  int[] encode(String text, boolean addSpecialTokens);

  /** The text of ids. Bytes that are not UTF-8 become U+FFFD. */
  String decode(int[] ids, boolean skipSpecialTokens);

  /** Ids are {@code 0 .. size - 1}, added tokens counted. */
  int vocabularySize();

  /** The token's text as the vocabulary writes it, or null for an id it does not have. */
  @Nullable String token(int id);

  /** The id of a token of the vocabulary, or -1. */
  int id(String token);

  @Override
  void close();
}
