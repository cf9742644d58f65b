package io.flotilla.tokenizer;

import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharsetDecoder;
import java.nio.charset.CoderResult;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/**
 * Turns ids into text as they come, never half a character. Used by one thread at a time.
 *
 * <p>The texts of tokens cannot just be joined: a character may be spread over tokens, and
 * SentencePiece drops the space that begins a text. So each id is decoded behind the ids before it
 * and the text that is new is returned, as vLLM does ({@code detokenize_incrementally}). The window
 * of ids stays short, which makes the cost of an id constant: a byte-level vocabulary spreads a
 * character over four tokens at most, so a window that begins inside a character is in step again
 * long before its end.
 *
 * <p>The concatenation of all texts is the text that {@code decode} gives to all ids at once. One
 * exception is deliberate: a run of SentencePiece's byte tokens that goes wrong keeps the
 * characters that were whole, where {@code decode} would take them back.
 */
public final class IncrementalDetokenizer {
  private static final int LONGEST_WINDOW = 16;
  private static final int CONTEXT = 8;
  private static final int LONGEST_CHARACTER = 4;
  private static final char REPLACEMENT = '\uFFFD';

  private final Tokenizer tokenizer;
  private final boolean skipSpecialTokens;
  private final int[] window = new int[LONGEST_WINDOW + LONGEST_CHARACTER];
  private int length;
  private int returned;

  /** Byte tokens whose character is not whole. */
  private final int[] byteIds = new int[LONGEST_CHARACTER];

  private final byte[] bytes = new byte[LONGEST_CHARACTER];
  private int byteCount;

  /** For ids that begin a text. */
  public IncrementalDetokenizer(Tokenizer tokenizer, boolean skipSpecialTokens) {
    this(tokenizer, skipSpecialTokens, new int[0]);
  }

  /**
   * For ids that continue a text.
   *
   * @param prompt the ids before, whose text is not returned
   */
  public IncrementalDetokenizer(Tokenizer tokenizer, boolean skipSpecialTokens, int[] prompt) {
    this.tokenizer = tokenizer;
    this.skipSpecialTokens = skipSpecialTokens;
    for (int i = Math.max(0, prompt.length - CONTEXT); i < prompt.length; i++) {
      if (hasText(prompt[i])) {
        window[length++] = prompt[i];
      }
    }
    returned = wholeCharacters(text());
  }

  /** The text that an id completes; empty while a character is not whole. */
  public String push(int id) {
    if (!hasText(id)) {
      return "";
    }
    int value = byteValue(id);
    if (value >= 0) {
      return pushByte(id, (byte) value);
    }
    String broken = breakBytes();
    window[length++] = id;
    return broken + advance();
  }

  /** The text held back, at the end of the ids: what is not a whole character is U+FFFD. */
  public String flush() {
    String broken = breakBytes();
    String text = text();
    String rest = text.substring(Math.min(returned, text.length()));
    returned = text.length();
    return rest + broken;
  }

  private boolean hasText(int id) {
    return tokenizer.token(id) != null && !(skipSpecialTokens && tokenizer.isSpecial(id));
  }

  /** The byte that a token such as {@code <0x0A>} stands for, or -1. */
  private int byteValue(int id) {
    String token = tokenizer.token(id);
    if (token == null || token.length() != 6 || !token.startsWith("<0x") || !token.endsWith(">")) {
      return -1;
    }
    int high = Character.digit(token.charAt(3), 16);
    int low = Character.digit(token.charAt(4), 16);
    boolean isByte =
        high >= 0 && low >= 0 && !tokenizer.decode(new int[] {id}, false).equals(token);
    return isByte ? high * 16 + low : -1;
  }

  private String pushByte(int id, byte value) {
    byteIds[byteCount] = id;
    bytes[byteCount++] = value;
    CharsetDecoder utf8 = StandardCharsets.UTF_8.newDecoder();
    ByteBuffer input = ByteBuffer.wrap(bytes, 0, byteCount);
    CoderResult result = utf8.decode(input, CharBuffer.allocate(2), false);
    if (result.isError()) {
      return breakBytes();
    }
    if (input.hasRemaining()) {
      return "";
    }
    System.arraycopy(byteIds, 0, window, length, byteCount);
    length += byteCount;
    byteCount = 0;
    return advance();
  }

  private String breakBytes() {
    String broken = String.valueOf(REPLACEMENT).repeat(byteCount);
    byteCount = 0;
    return broken;
  }

  private String advance() {
    String text = text();
    int whole = wholeCharacters(text);
    String delta = whole > returned ? text.substring(returned, whole) : "";
    returned = Math.max(returned, whole);
    if (length >= LONGEST_WINDOW) {
      System.arraycopy(window, length - CONTEXT, window, 0, CONTEXT);
      length = CONTEXT;
      returned = wholeCharacters(text());
    }
    return delta;
  }

  private String text() {
    return length == 0 ? "" : tokenizer.decode(Arrays.copyOf(window, length), false);
  }

  /**
   * Where a character that may not be whole begins. All the bytes of one that has begun make a
   * single U+FFFD, so what stands before the last one is final.
   */
  private static int wholeCharacters(String text) {
    int end = text.length();
    return end > 0 && text.charAt(end - 1) == REPLACEMENT ? end - 1 : end;
  }
}
