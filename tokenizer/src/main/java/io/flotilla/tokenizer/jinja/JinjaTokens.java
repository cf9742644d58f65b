package io.flotilla.tokenizer.jinja;

import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/** Cuts expressions of Jinja2 into tokens; a string becomes the variable that holds it. */
final class JinjaTokens {
  private static final Set<String> PAIRS = Set.of("==", "!=", "<=", ">=", "//", "**");

  private JinjaTokens() {}

  static List<String> of(String expression, Symbols symbols) {
    List<String> tokens = new ArrayList<>();
    boolean behindString = false;
    for (int i = 0; i < expression.length(); ) {
      char c = expression.charAt(i);
      if (Character.isWhitespace(c)) {
        i++;
      } else if (c == '\'' || c == '"') {
        int end = stringEnd(expression, i);
        String value = PythonLiterals.unescape(expression.substring(i + 1, end));
        if (behindString) {
          // Strings side by side are one.
          value = symbols.literals().get(tokens.removeLast()) + value;
        }
        tokens.add(symbols.literal(value));
        behindString = true;
        i = end + 1;
      } else {
        int end = tokenEnd(expression, i);
        tokens.add(expression.substring(i, end));
        behindString = false;
        i = end;
      }
    }
    return tokens;
  }

  private static int tokenEnd(String text, int start) {
    int end = start + 1;
    if (Character.isJavaIdentifierPart(text.charAt(start))) {
      while (end < text.length() && isWordPart(text, start, end)) {
        end++;
      }
      return end;
    }
    boolean isPair = end < text.length() && PAIRS.contains(text.substring(start, end + 1));
    return isPair ? end + 1 : end;
  }

  /** A number's fraction is part of it; a name's attribute is not. */
  private static boolean isWordPart(String text, int start, int index) {
    boolean isFraction =
        text.charAt(index) == '.'
            && Character.isDigit(text.charAt(start))
            && index + 1 < text.length()
            && Character.isDigit(text.charAt(index + 1));
    return isFraction || Character.isJavaIdentifierPart(text.charAt(index));
  }

  /** Where the string that starts at an index ends: the index of its closing quote. */
  static int stringEnd(String text, int start) {
    for (int i = start + 1; i < text.length(); i++) {
      if (text.charAt(i) == '\\') {
        i++;
      } else if (text.charAt(i) == text.charAt(start)) {
        return i;
      }
    }
    throw new IllegalArgumentException("the chat template has a string that does not end");
  }

  static boolean isOpening(String token) {
    return token.equals("(") || token.equals("[") || token.equals("{");
  }

  static boolean isClosing(String token) {
    return token.equals(")") || token.equals("]") || token.equals("}");
  }

  static boolean isName(String token) {
    return !token.isEmpty() && Character.isJavaIdentifierStart(token.charAt(0));
  }
}
