package io.flotilla.generation;

import io.flotilla.tokenizer.Tokenizer;
import org.jspecify.annotations.Nullable;

/** A token a character, its id the character's code; 0 is special. */
final class LetterTokenizer implements Tokenizer {
  static final int END = 0;

  @Override
  public int[] encode(String text, boolean addSpecialTokens) {
    return text.chars().toArray();
  }

  @Override
  public String decode(int[] ids, boolean skipSpecialTokens) {
    StringBuilder text = new StringBuilder();
    for (int id : ids) {
      text.append(id == END ? "<end>" : String.valueOf((char) id));
    }
    return text.toString();
  }

  @Override
  public int vocabularySize() {
    return 128;
  }

  @Override
  public @Nullable String token(int id) {
    return id < vocabularySize() ? String.valueOf((char) id) : null;
  }

  @Override
  public int id(String token) {
    return token.length() == 1 ? token.charAt(0) : -1;
  }

  @Override
  public boolean isSpecial(int id) {
    return id == END;
  }

  @Override
  public void close() {}
}
