package io.flotilla.tokenizer;

import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/** A model's vocabulary. Thread-safe. */
public interface Tokenizer extends AutoCloseable {
  /**
   * The tokenizer of a model's folder, read from its {@code tokenizer.json}. What that file says of
   * truncation and padding is ignored: checkpoints carry it by accident.
   *
   * @throws TokenizerException when the file is missing or is no tokenizer
   */
  static Tokenizer load(Path folder) {
    return NativeTokenizer.load(folder);
  }

  /**
   * The tokenizer of a GGUF file.
   *
   * @throws TokenizerException when its vocabulary or its pre-tokenizer is of no supported kind
   */
  static Tokenizer of(GgufVocabulary vocabulary) {
    return NativeTokenizer.of(GgufTokenizerJson.of(vocabulary), "the GGUF file's tokenizer");
  }

  /**
   * The ids of a text, never truncated. Special tokens written in the text become their ids.
   *
   * @param addSpecialTokens whether the tokenizer's own prefix and suffix (such as a beginning of
   *     sequence) are added
   */
  int[] encode(String text, boolean addSpecialTokens);

  /**
   * The text of ids. Bytes that are not UTF-8 become U+FFFD; an id without a token gives no text.
   */
  String decode(int[] ids, boolean skipSpecialTokens);

  /** Ids are {@code 0 .. size - 1}, added tokens counted. */
  int vocabularySize();

  /** The token's text as the vocabulary writes it, or null for an id it does not have. */
  @Nullable String token(int id);

  /** The id of a token of the vocabulary, or -1. */
  int id(String token);

  /** Whether an id is a special token, which {@code decode} leaves out when told to. */
  boolean isSpecial(int id);

  @Override
  void close();
}
