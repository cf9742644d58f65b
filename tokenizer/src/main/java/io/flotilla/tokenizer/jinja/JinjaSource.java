package io.flotilla.tokenizer.jinja;

import java.util.HashMap;
import java.util.HashSet;
import java.util.List;

/**
 * A template in the dialect that jinjava reads as Jinja2 reads the original.
 *
 * <p>White space is controlled here, as Jinja2's lexer does with {@code trim_blocks} and {@code
 * lstrip_blocks}; comments are gone; string literals have become variables, since the two engines
 * disagree on escapes and on delimiters inside quotes; and what the other language lacks is written
 * in what it has (see {@link JinjaExpression} and {@link JinjaStatements}).
 */
record JinjaSource(String text, Symbols symbols) {
  /**
   * @throws IllegalArgumentException when a tag, an expression or a string does not end
   */
  static JinjaSource translate(String template) {
    return new Translation(template).run();
  }

  private static final class Translation {
    private final String template;
    private final StringBuilder out = new StringBuilder();
    private final Symbols symbols = new Symbols(new HashMap<>(), new HashSet<>(), new HashSet<>());
    private final JinjaStatements statements = new JinjaStatements(symbols);
    private int position;

    /** Whether what stands before the position is the end of a line or of nothing. */
    private boolean atLineStart = true;

    Translation(String template) {
      String unix = template.replace("\r\n", "\n").replace('\r', '\n');
      this.template = unix.endsWith("\n") ? unix.substring(0, unix.length() - 1) : unix;
    }

    JinjaSource run() {
      while (position < template.length()) {
        int open = nextOpening();
        if (open < 0) {
          out.append(template, position, template.length());
          break;
        }
        char kind = template.charAt(open + 1);
        char control = charAt(open + 2);
        out.append(dataBefore(open, kind, control));
        position = open + (control == '-' || control == '+' ? 3 : 2);
        switch (kind) {
          case '#' -> closeAt(template.indexOf("#}", position), "#}");
          case '{' -> copyOutput();
          default -> copyTag();
        }
      }
      statements.requireEnd();
      return new JinjaSource(out.toString(), symbols);
    }

    private char charAt(int index) {
      return index < template.length() ? template.charAt(index) : '\0';
    }

    private int nextOpening() {
      for (int i = template.indexOf('{', position); i >= 0; i = template.indexOf('{', i + 1)) {
        if ("{%#".indexOf(charAt(i + 1)) >= 0) {
          return i;
        }
      }
      return -1;
    }

    /** The text up to a tag, without the white space that the tag takes away. */
    private String dataBefore(int open, char kind, char control) {
      String data = template.substring(position, open);
      if (control == '-') {
        return data.stripTrailing();
      }
      int line = data.lastIndexOf('\n') + 1;
      boolean startsLine = line > 0 || atLineStart;
      boolean strips = kind != '{' && control != '+' && startsLine;
      return strips && data.substring(line).isBlank() ? data.substring(0, line) : data;
    }

    private void copyOutput() {
      int end = expressionEnd("}}");
      List<String> tokens = JinjaTokens.of(body(end), symbols);
      if (tokens.isEmpty()) {
        throw new IllegalArgumentException("the chat template has an empty expression");
      }
      closeAt(end, "}}");
      out.append("{{ (")
          .append(new JinjaExpression(tokens, symbols).translate())
          .append(") | " + PythonTextFilter.NAME + " }}");
    }

    private void copyTag() {
      int end = expressionEnd("%}");
      String statement = body(end).strip();
      closeAt(end, "%}");
      if (statement.equals("raw")) {
        copyRaw();
      } else {
        for (String tag : statements.translate(statement)) {
          out.append("{% ").append(tag).append(" %}");
        }
      }
    }

    /** Text between raw and endraw becomes a variable: it may hold any delimiter. */
    private void copyRaw() {
      int open = template.indexOf("{%", position);
      while (open >= 0 && !isEndOfRaw(open)) {
        open = template.indexOf("{%", open + 1);
      }
      if (open < 0) {
        throw new IllegalArgumentException("the chat template has a raw block that does not end");
      }
      String raw = dataBefore(open, '%', charAt(open + 2));
      out.append("{{ ").append(symbols.literal(raw)).append(" }}");
      position = open + 2;
      closeAt(template.indexOf("%}", open), "%}");
    }

    private boolean isEndOfRaw(int open) {
      int end = template.indexOf("%}", open);
      return end >= 0
          && template.substring(open + 2, end).replaceAll("[-+\\s]", "").equals("endraw");
    }

    /** The expression before a closing delimiter, without the sign that controls white space. */
    private String body(int end) {
      char last = template.charAt(end - 1);
      boolean signed = end > position && (last == '-' || last == '+');
      return template.substring(position, signed ? end - 1 : end);
    }

    /** Moves behind a closing delimiter and the white space that it takes away. */
    private void closeAt(int end, String delimiter) {
      if (end < 0) {
        throw new IllegalArgumentException("the chat template lacks a closing " + delimiter);
      }
      char control = template.charAt(end - 1);
      position = end + 2;
      if (control == '-') {
        while (position < template.length() && Character.isWhitespace(charAt(position))) {
          position++;
        }
      } else if (control != '+' && !delimiter.equals("}}") && charAt(position) == '\n') {
        position++;
      }
      atLineStart = template.charAt(position - 1) == '\n';
    }

    /** Where the delimiter stands outside of strings and brackets, or -1. */
    private int expressionEnd(String delimiter) {
      int depth = 0;
      for (int i = position; i < template.length(); i++) {
        char c = template.charAt(i);
        if (depth == 0 && template.startsWith(delimiter, i)) {
          return i;
        }
        if (c == '\'' || c == '"') {
          i = JinjaTokens.stringEnd(template, i);
        } else if ("([{".indexOf(c) >= 0) {
          depth++;
        } else if (")]}".indexOf(c) >= 0) {
          depth--;
        }
      }
      throw new IllegalArgumentException("the chat template lacks a closing " + delimiter);
    }
  }
}
