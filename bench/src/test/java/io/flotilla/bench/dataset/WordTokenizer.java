package io.flotilla.bench.dataset;

import io.flotilla.tokenizer.Tokenizer;
import java.util.Arrays;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/** One hundred words, {@code w0} to {@code w99}, with spaces between; 0 and 1 are special. */
public final class WordTokenizer implements Tokenizer {
  public WordTokenizer() {}

  @Override
  public int[] encode(String text, boolean addSpecialTokens) {
    return Arrays.stream(text.strip().split("\\s+"))
        .filter(word -> !word.isEmpty())
        .mapToInt(word -> Math.floorMod(word.hashCode(), 98) + 2)
        .toArray();
  }

  @Override
  public String decode(int[] ids, boolean skipSpecialTokens) {
    return Arrays.stream(ids).mapToObj(id -> "w" + id).collect(Collectors.joining(" "));
  }

  @Override
  public int vocabularySize() {
    return 100;
  }

  @Override
  public @Nullable String token(int id) {
    return id < 100 ? "w" + id : null;
  }

  @Override
  public int id(String token) {
    return Integer.parseInt(token.substring(1));
  }

  @Override
  public boolean isSpecial(int id) {
    return id < 2;
  }

  @Override
  public void close() {}
}
