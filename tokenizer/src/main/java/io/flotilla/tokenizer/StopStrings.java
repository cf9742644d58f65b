package io.flotilla.tokenizer;

import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Finds the first stop string in a text that comes in pieces, and holds back exactly the text that
 * may be the beginning of one. Used by one thread at a time.
 *
 * <p>The first is the one that ends first, and of those the longest: how the text is cut into
 * pieces makes no difference. Each stop string has a Knuth-Morris-Pratt automaton, so a character
 * costs a constant for each.
 */
public final class StopStrings {
  private final List<String> stops;
  private final boolean include;

  /** By stop string and count of matched characters: the count to go on with at a mismatch. */
  private final int[][] fallbacks;

  private final int[] matched;
  private final StringBuilder held = new StringBuilder();
  private @Nullable String found;

  /**
   * @param stops none of them empty
   * @param include whether the stop string is part of the text returned
   */
  public StopStrings(List<String> stops, boolean include) {
    this.stops = List.copyOf(stops);
    this.include = include;
    if (this.stops.contains("")) {
      throw new IllegalArgumentException("a stop string is empty");
    }
    this.fallbacks = this.stops.stream().map(StopStrings::fallbacks).toArray(int[][]::new);
    this.matched = new int[fallbacks.length];
  }

  private static int[] fallbacks(String stop) {
    int[] fallback = new int[stop.length() + 1];
    for (int i = 1, count = 0; i < stop.length(); i++) {
      while (count > 0 && stop.charAt(i) != stop.charAt(count)) {
        count = fallback[count];
      }
      if (stop.charAt(i) == stop.charAt(count)) {
        count++;
      }
      fallback[i + 1] = count;
    }
    return fallback;
  }

  /**
   * Takes the next piece of the text and returns what can be shown: the text before the first stop
   * string, so far. After a stop string was found it returns nothing more.
   */
  public String push(String piece) {
    if (found != null) {
      return "";
    }
    for (int i = 0; i < piece.length() && found == null; i++) {
      held.append(piece.charAt(i));
      found = advance(piece.charAt(i));
    }
    if (found == null) {
      return take(longestBeginning());
    }
    String text = take(include ? 0 : found.length());
    held.setLength(0);
    return text;
  }

  /** Removes and returns all of the held text but its last characters. */
  private String take(int kept) {
    String text = held.substring(0, held.length() - kept);
    held.delete(0, text.length());
    return text;
  }

  /** The longest stop string that ends with this character, or null. */
  private @Nullable String advance(char next) {
    String complete = null;
    for (int s = 0; s < fallbacks.length; s++) {
      String stop = stops.get(s);
      int count = matched[s];
      while (count > 0 && stop.charAt(count) != next) {
        count = fallbacks[s][count];
      }
      matched[s] = stop.charAt(count) == next ? count + 1 : 0;
      boolean isComplete = matched[s] == stop.length();
      if (isComplete && (complete == null || stop.length() > complete.length())) {
        complete = stop;
      }
    }
    return complete;
  }

  private int longestBeginning() {
    int longest = 0;
    for (int count : matched) {
      longest = Math.max(longest, count);
    }
    return longest;
  }

  /** The stop string that was found, or null. */
  public @Nullable String found() {
    return found;
  }

  /** The text held back, at the end of a text without a stop string. */
  public String flush() {
    String rest = held.toString();
    held.setLength(0);
    return rest;
  }
}
