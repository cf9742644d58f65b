package io.flotilla.tokenizer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class StopStringsTest {
  @Test
  void holdsBackOnlyWhatMayBeginAStopString() {
    StopStrings stops = new StopStrings(List.of("END"), false);
    assertThat(stops.push("the E")).isEqualTo("the ");
    assertThat(stops.push("N")).isEmpty();
    assertThat(stops.push("E")).isEqualTo("EN");
    assertThat(stops.push("x")).isEqualTo("Ex");
    assertThat(stops.push("E")).isEmpty();
    assertThat(stops.flush()).isEqualTo("E");
    assertThat(stops.found()).isNull();
  }

  @Test
  void findsAStopStringAcrossPieces() {
    StopStrings stops = new StopStrings(List.of("\n\n", "END"), false);
    assertThat(stops.push("a\n") + stops.push("E") + stops.push("ND, and more")).isEqualTo("a\n");
    assertThat(stops.found()).isEqualTo("END");
    assertThat(stops.push("after")).isEmpty();
    assertThat(stops.flush()).isEmpty();
  }

  @Test
  void includesTheStopStringWhenAsked() {
    StopStrings stops = new StopStrings(List.of("END"), true);
    assertThat(stops.push("a E") + stops.push("ND!")).isEqualTo("a END");
  }

  @Test
  void prefersTheLongestOfThoseThatEndTogether() {
    StopStrings stops = new StopStrings(List.of("b", "ab"), false);
    assertThat(stops.push("xa") + stops.push("b")).isEqualTo("x");
    assertThat(stops.found()).isEqualTo("ab");
  }

  @Test
  void findsAStopStringThatOverlapsItsOwnBeginning() {
    StopStrings stops = new StopStrings(List.of("aabaaac"), false);
    assertThat(stops.push("aabaaabaaac!")).isEqualTo("aaba");
    assertThat(stops.found()).isEqualTo("aabaaac");
  }

  @Test
  void passesEverythingWithoutStopStrings() {
    StopStrings stops = new StopStrings(List.of(), false);
    assertThat(stops.push("all of it")).isEqualTo("all of it");
  }

  @Test
  void refusesAnEmptyStopString() {
    assertThatThrownBy(() -> new StopStrings(List.of("a", ""), false))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("empty");
  }

  @Test
  void cutsAsASearchOfTheWholeTextDoes() {
    Random random = new Random(7);
    int found = 0;
    for (int round = 0; round < 20_000; round++) {
      List<String> stops =
          random.ints(random.nextInt(4), 1, 9).mapToObj(length -> text(random, length)).toList();
      String text = text(random, random.nextInt(64));
      boolean include = random.nextBoolean();
      StopStrings matcher = new StopStrings(stops, include);
      StringBuilder shown = new StringBuilder();
      for (int i = 0; i < text.length(); ) {
        int end = Math.min(text.length(), i + 1 + random.nextInt(4));
        shown.append(matcher.push(text.substring(i, end)));
        assertThat(text).startsWith(shown);
        i = end;
      }
      shown.append(matcher.flush());
      assertThat(shown.toString()).as("%s in %s", stops, text).isEqualTo(cut(text, stops, include));
      found += matcher.found() == null ? 0 : 1;
    }
    assertThat(found).isBetween(5_000, 19_000);
  }

  private static String text(Random random, int length) {
    return random
        .ints(length, 'a', 'c')
        .collect(StringBuilder::new, StringBuilder::appendCodePoint, StringBuilder::append)
        .toString();
  }

  private static String cut(String text, List<String> stops, boolean include) {
    for (int end = 1; end <= text.length(); end++) {
      int start = end;
      for (String stop : stops) {
        if (text.startsWith(stop, end - stop.length())) {
          start = Math.min(start, end - stop.length());
        }
      }
      if (start < end) {
        return text.substring(0, include ? end : start);
      }
    }
    return text;
  }
}
