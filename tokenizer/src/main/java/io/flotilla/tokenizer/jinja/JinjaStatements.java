package io.flotilla.tokenizer.jinja;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;

/**
 * The statements of a template, written for jinjava: {@code for x in y if z} becomes two loops, so
 * that {@code loop} counts what is left; the {@code else} of a loop becomes a condition behind it;
 * and each turn of a loop has variables of its own.
 */
final class JinjaStatements {
  /** The tag around a loop's body. */
  static final String SCOPE = "iteration";

  /** Of each loop and condition that is open: how it ends, and its loop's values if it is one. */
  private record Open(List<String> ends, String values) {}

  private static final Open CONDITION = new Open(List.of("endif"), "");

  private final Symbols symbols;
  private final Deque<Open> open = new ArrayDeque<>();
  private int loops;

  JinjaStatements(Symbols symbols) {
    this.symbols = symbols;
  }

  /** The tags that do what a statement does. */
  List<String> translate(String statement) {
    List<String> tokens = JinjaTokens.of(statement, symbols);
    String keyword = tokens.isEmpty() ? "" : tokens.getFirst();
    return switch (keyword) {
      case "for" -> loop(tokens);
      case "if" -> {
        open.push(CONDITION);
        yield List.of(expression(tokens));
      }
      case "else" -> otherwise();
      case "endif", "endfor" -> {
        if (open.isEmpty()) {
          throw new IllegalArgumentException("the chat template has an " + keyword + " too many");
        }
        yield open.pop().ends();
      }
      case "macro" -> List.of(statement);
      default -> List.of(expression(tokens));
    };
  }

  private String expression(List<String> tokens) {
    return new JinjaExpression(tokens, symbols).translate();
  }

  private List<String> otherwise() {
    Open top = open.peek();
    if (top == null || top.values().isEmpty()) {
      return List.of("else");
    }
    open.pop();
    open.push(CONDITION);
    List<String> tags = new ArrayList<>(top.ends());
    tags.add("if not " + top.values());
    return tags;
  }

  private List<String> loop(List<String> tokens) {
    int in = tokens.indexOf("in");
    if (in < 0) {
      throw new IllegalArgumentException("the chat template has a for without in");
    }
    int condition = condition(tokens, in);
    String targets = String.join(" ", tokens.subList(1, in));
    String values = "values_" + loops++;
    String all = expression(tokens.subList(in + 1, condition < 0 ? tokens.size() : condition));
    List<String> tags = new ArrayList<>();
    if (condition < 0) {
      tags.add("set " + values + " = " + all);
    } else {
      String kept = targets.contains(",") ? "[" + targets + "]" : targets;
      tags.add("set " + values + " = []");
      tags.add("for " + targets + " in " + all);
      tags.add("if " + expression(tokens.subList(condition + 1, tokens.size())));
      tags.add("do " + values + ".append(" + kept + ")");
      tags.add("endif");
      tags.add("endfor");
    }
    tags.add("for " + targets + " in " + values);
    tags.add(SCOPE);
    open.push(new Open(List.of("end" + SCOPE, "endfor"), values));
    return tags;
  }

  /** Where the condition of a loop is, or -1; an if with an else belongs to the values. */
  private static int condition(List<String> tokens, int from) {
    int depth = 0;
    int found = -1;
    for (int i = from; i < tokens.size(); i++) {
      String token = tokens.get(i);
      if (JinjaTokens.isOpening(token)) {
        depth++;
      } else if (JinjaTokens.isClosing(token)) {
        depth--;
      } else if (depth == 0 && token.equals("if")) {
        found = i;
      } else if (depth == 0 && token.equals("else")) {
        found = -1;
      }
    }
    return found;
  }

  /**
   * @throws IllegalArgumentException when a loop or condition does not end
   */
  void requireEnd() {
    if (!open.isEmpty()) {
      throw new IllegalArgumentException(
          "the chat template lacks an " + open.getFirst().ends().getLast());
    }
  }
}
