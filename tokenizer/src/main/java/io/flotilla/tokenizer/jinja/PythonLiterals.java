package io.flotilla.tokenizer.jinja;

/** String literals as Python, and so Jinja2, reads them. */
final class PythonLiterals {
  private PythonLiterals() {}

  /** The value of what stands between the quotes. */
  static String unescape(String quoted) {
    StringBuilder value = new StringBuilder();
    for (int i = 0; i < quoted.length(); i++) {
      char c = quoted.charAt(i);
      if (c == '\\' && i + 1 < quoted.length()) {
        i++;
        i += appendEscape(value, quoted, i);
      } else {
        value.append(c);
      }
    }
    return value.toString();
  }

  /** Appends the escape at an index and returns how many characters follow its letter. */
  private static int appendEscape(StringBuilder value, String quoted, int index) {
    char letter = quoted.charAt(index);
    int digits =
        switch (letter) {
          case 'x' -> 2;
          case 'u' -> 4;
          case 'U' -> 8;
          default -> 0;
        };
    if (digits > 0 && index + digits < quoted.length()) {
      value.appendCodePoint(Integer.parseInt(quoted.substring(index + 1, index + 1 + digits), 16));
      return digits;
    }
    switch (letter) {
      case 'n' -> value.append('\n');
      case 't' -> value.append('\t');
      case 'r' -> value.append('\r');
      case 'b' -> value.append('\b');
      case 'f' -> value.append('\f');
      case '\\', '\'', '"' -> value.append(letter);
      case '\n' -> value.append("");
      default -> value.append('\\').append(letter);
    }
    return 0;
  }
}
