package io.flotilla.tokenizer.jinja;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/** The methods of Python's {@code str} that templates use. */
final class PythonStrings {
  private PythonStrings() {}

  /**
   * Calls a method of a text.
   *
   * @return null when there is no such method
   */
  static @Nullable Object call(String text, String method, @Nullable Object... arguments) {
    return switch (method) {
      case "strip" -> strip(text, textOrNull(arguments, 0), true, true);
      case "lstrip" -> strip(text, textOrNull(arguments, 0), true, false);
      case "rstrip" -> strip(text, textOrNull(arguments, 0), false, true);
      case "split" -> split(text, textOrNull(arguments, 0), number(arguments, 1, -1));
      case "rsplit" -> splitFromEnd(text, textOrNull(arguments, 0), number(arguments, 1, -1));
      case "splitlines" -> text.lines().toList();
      case "startswith" -> anyOf(arguments[0], text::startsWith);
      case "endswith" -> anyOf(arguments[0], text::endsWith);
      case "removeprefix" -> removePrefix(text, text(arguments, 0));
      case "removesuffix" -> removeSuffix(text, text(arguments, 0));
      case "upper" -> text.toUpperCase(Locale.ROOT);
      case "lower" -> text.toLowerCase(Locale.ROOT);
      case "title" -> title(text);
      case "capitalize" -> capitalize(text);
      case "replace" ->
          replace(text, text(arguments, 0), text(arguments, 1), number(arguments, 2, -1));
      case "join" -> join(text, arguments[0]);
      case "find" -> (long) text.indexOf(text(arguments, 0));
      case "rfind" -> (long) text.lastIndexOf(text(arguments, 0));
      case "count" -> (long) split(text, text(arguments, 0), -1).size() - 1;
      case "isdigit" -> !text.isEmpty() && text.codePoints().allMatch(Character::isDigit);
      case "isspace" -> !text.isEmpty() && text.codePoints().allMatch(PythonStrings::isSpace);
      default -> null;
    };
  }

  private static @Nullable String textOrNull(@Nullable Object[] arguments, int index) {
    Object value = index < arguments.length ? arguments[index] : null;
    return value == null ? null : value.toString();
  }

  private static String text(@Nullable Object[] arguments, int index) {
    String value = textOrNull(arguments, index);
    if (value == null) {
      throw new RefusedException("a method of a string lacks its argument");
    }
    return value;
  }

  private static int number(@Nullable Object[] arguments, int index, int absent) {
    return index < arguments.length && arguments[index] instanceof Number number
        ? number.intValue()
        : absent;
  }

  /**
   * @param characters a set of characters, or null for white space
   */
  static String strip(String text, @Nullable String characters, boolean start, boolean end) {
    int from = 0;
    int to = text.length();
    while (start && from < to && isIn(text.charAt(from), characters)) {
      from++;
    }
    while (end && to > from && isIn(text.charAt(to - 1), characters)) {
      to--;
    }
    return text.substring(from, to);
  }

  private static boolean isIn(char c, @Nullable String characters) {
    return characters == null ? isSpace(c) : characters.indexOf(c) >= 0;
  }

  /** Python's {@code str.isspace}. */
  private static boolean isSpace(int c) {
    return Character.isWhitespace(c) || Character.isSpaceChar(c) || c == 0x85;
  }

  /**
   * @param separator null for runs of white space
   * @param most cuts at most, or -1
   */
  private static List<Object> split(String text, @Nullable String separator, int most) {
    if (separator == null) {
      String stripped = strip(text, null, true, true);
      return stripped.isEmpty()
          ? new ArrayList<>()
          : new ArrayList<>(
              Arrays.asList(stripped.split("[\\s\\p{Z}]+", most < 0 ? -1 : most + 1)));
    }
    requireSeparator(separator);
    List<Object> parts = new ArrayList<>();
    int from = 0;
    for (int at = text.indexOf(separator); at >= 0 && most != parts.size(); ) {
      parts.add(text.substring(from, at));
      from = at + separator.length();
      at = text.indexOf(separator, from);
    }
    parts.add(text.substring(from));
    return parts;
  }

  private static List<Object> splitFromEnd(String text, @Nullable String separator, int most) {
    if (separator == null || most < 0) {
      return split(text, separator, -1);
    }
    requireSeparator(separator);
    List<Object> parts = new ArrayList<>();
    int to = text.length();
    for (int at = text.lastIndexOf(separator); at >= 0 && most != parts.size(); ) {
      parts.add(text.substring(at + separator.length(), to));
      to = at;
      at = text.lastIndexOf(separator, at - separator.length());
    }
    parts.add(text.substring(0, to));
    Collections.reverse(parts);
    return parts;
  }

  private static void requireSeparator(String separator) {
    if (separator.isEmpty()) {
      throw new RefusedException("a string is split at an empty separator");
    }
  }

  private static boolean anyOf(@Nullable Object options, Predicate<String> test) {
    return options instanceof Collection<?> several
        ? several.stream().anyMatch(option -> test.test(String.valueOf(option)))
        : test.test(String.valueOf(options));
  }

  private static String removePrefix(String text, String prefix) {
    return text.startsWith(prefix) ? text.substring(prefix.length()) : text;
  }

  private static String removeSuffix(String text, String suffix) {
    return text.endsWith(suffix) ? text.substring(0, text.length() - suffix.length()) : text;
  }

  private static String title(String text) {
    StringBuilder title = new StringBuilder();
    boolean inWord = false;
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      title.append(inWord ? Character.toLowerCase(c) : Character.toTitleCase(c));
      inWord = Character.isLetter(c);
    }
    return title.toString();
  }

  private static String capitalize(String text) {
    return text.isEmpty()
        ? text
        : text.substring(0, 1).toUpperCase(Locale.ROOT)
            + text.substring(1).toLowerCase(Locale.ROOT);
  }

  private static String replace(String text, String from, String to, int most) {
    if (most < 0) {
      return text.replace(from, to);
    }
    return split(text, from, most).stream().map(String::valueOf).collect(Collectors.joining(to));
  }

  private static String join(String separator, @Nullable Object values) {
    if (!(values instanceof Collection<?> parts)) {
      throw new RefusedException("join needs a list");
    }
    return parts.stream().map(String::valueOf).collect(Collectors.joining(separator));
  }
}
