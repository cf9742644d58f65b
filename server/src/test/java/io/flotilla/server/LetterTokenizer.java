package io.flotilla.server;

import io.flotilla.tokenizer.Tokenizer;
import java.util.Arrays;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * A token a character, its id the character's code; 0 is special and ends, {@code ^} is special and
 * begins. Other characters than ASCII's are a question mark.
 */
public final class LetterTokenizer implements Tokenizer {
  public static final int END = 0;
  public static final int BEGIN = '^';

  /** Has no state. */
  public LetterTokenizer() {}

  @Override
  public int[] encode(String text, boolean addSpecialTokens) {
    IntStream letters =
        text.codePoints().map(letter -> letter < vocabularySize() && letter != END ? letter : '?');
    return IntStream.concat(addSpecialTokens ? IntStream.of(BEGIN) : IntStream.empty(), letters)
        .toArray();
  }

  @Override
  public String decode(int[] ids, boolean skipSpecialTokens) {
    StringBuilder text = new StringBuilder();
    Arrays.stream(ids)
        .filter(id -> !(skipSpecialTokens && isSpecial(id)))
        .forEach(id -> text.append(id == END ? "<end>" : String.valueOf((char) id)));
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
    return id == END || id == BEGIN;
  }

  @Override
  public void close() {}
}
