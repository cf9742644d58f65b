package io.flotilla.tokenizer.jinja;

import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/**
 * An expression of Jinja2, written for jinjava's expression language:
 *
 * <ul>
 *   <li>{@code a[x:y:z]} becomes a method call, since ranges have no step there;
 *   <li>{@code not} binds weaker than comparisons in Python and stronger there, and a named
 *       argument stronger than sums: parentheses say what is meant;
 *   <li>an operand of a sum passes a filter that refuses what is undefined, which would be "null";
 *   <li>{@code none} becomes {@code null}.
 * </ul>
 */
final class JinjaExpression {
  private static final Set<String> ENDS_OF_OPERAND = Set.of("and", "or", "if", "else", ",", ":");
  private static final Set<String> OPERATORS =
      Set.of(
          "+", "-", "*", "/", "//", "%", "**", "~", "==", "!=", "<", ">", "<=", ">=", "and", "or",
          "not", "in", "is", "if", "else", ",", ":", "=");
  private static final Set<String> KEYWORDS =
      Set.of("and", "or", "not", "in", "is", "if", "else", "elif", "set", "for", "do", "call");

  private final List<String> tokens;
  private final Symbols symbols;
  private int position;

  JinjaExpression(List<String> tokens, Symbols symbols) {
    this.tokens = tokens;
    this.symbols = symbols;
  }

  /**
   * @throws IllegalArgumentException when a bracket does not match
   */
  String translate() {
    String translated = sequence(false);
    if (position < tokens.size()) {
      throw new IllegalArgumentException(
          "the chat template has a " + token(position) + " too many");
    }
    return translated;
  }

  /** Tokens up to a closing bracket, or all. */
  private String sequence(boolean inBrackets) {
    StringBuilder out = new StringBuilder();
    int negations = 0;
    boolean isNamed = false;
    boolean isAdded = false;
    while (position < tokens.size() && !JinjaTokens.isClosing(token(position))) {
      String token = token(position);
      if (OPERATORS.contains(token)) {
        out.append(isAdded || token.equals("+") ? requirement() : "");
        isAdded = token.equals("+");
      }
      if (ENDS_OF_OPERAND.contains(token)) {
        out.append(" )".repeat(negations));
        negations = 0;
      }
      if (isNamed && token.equals(",")) {
        out.append(" )");
        isNamed = false;
      }
      if (token.equals("not") && isPrefix()) {
        out.append(" not (");
        negations++;
        position++;
      } else if (token.equals("=") && inBrackets) {
        out.append(" = (");
        isNamed = true;
        position++;
      } else {
        boolean isTight = token.equals(".") || token(position - 1).equals(".");
        out.append(isTight ? "" : " ").append(next(token));
      }
    }
    out.append(isAdded ? requirement() : "");
    return out.append(" )".repeat(negations)).append(isNamed ? " )" : "").toString().strip();
  }

  /** The filter behind the operand that ends before the position; a string needs none. */
  private String requirement() {
    String last = token(position - 1);
    boolean isString = symbols.literals().containsKey(last);
    return endsOperand(last) && !isString ? " | " + RequiredFilter.NAME : "";
  }

  private String token(int index) {
    return index >= 0 && index < tokens.size() ? tokens.get(index) : "";
  }

  /** Whether the not at the position is neither part of {@code is not} nor of {@code not in}. */
  private boolean isPrefix() {
    return !token(position - 1).equals("is") && !token(position + 1).equals("in");
  }

  private String next(String token) {
    String previous = token(position - 1);
    boolean isTest =
        previous.equals("is") || (previous.equals("not") && token(position - 2).equals("is"));
    if (isTest && !token.equals("not") && JinjaTokens.isName(token)) {
      symbols.tests().add(token);
    }
    if (previous.equals("|")) {
      symbols.filters().add(token);
    }
    position++;
    return switch (token) {
      case "(" -> "(" + bracketed(")") + ")";
      case "{" -> "{" + bracketed("}") + "}";
      case "[" -> endsOperand(previous) ? elementOrSlice() : "[" + bracketed("]") + "]";
      case "none", "None" -> isTest ? "none" : "null";
      default -> token;
    };
  }

  /** Whether a bracket behind the token takes an element out of it. */
  private static boolean endsOperand(String token) {
    return JinjaTokens.isClosing(token) || (JinjaTokens.isName(token) && !KEYWORDS.contains(token));
  }

  private String bracketed(String closing) {
    String inside = sequence(true);
    if (!token(position).equals(closing)) {
      throw new IllegalArgumentException("the chat template lacks a closing " + closing);
    }
    position++;
    return inside;
  }

  private String elementOrSlice() {
    List<Integer> colons = topLevelColons();
    if (colons.isEmpty()) {
      return "[" + bracketed("]") + "]";
    }
    List<String> bounds = new ArrayList<>();
    for (int colon : colons) {
      bounds.add(new JinjaExpression(tokens.subList(position, colon), symbols).translate());
      position = colon + 1;
    }
    bounds.add(bracketed("]"));
    while (bounds.size() < 3) {
      bounds.add("");
    }
    bounds.replaceAll(bound -> bound.isEmpty() ? "null" : bound);
    return "." + PythonResolver.SLICE + "(" + String.join(", ", bounds) + ")";
  }

  private List<Integer> topLevelColons() {
    List<Integer> colons = new ArrayList<>();
    int depth = 0;
    for (int i = position; i < tokens.size() && depth >= 0; i++) {
      String token = tokens.get(i);
      if (JinjaTokens.isOpening(token)) {
        depth++;
      } else if (JinjaTokens.isClosing(token)) {
        depth--;
      } else if (depth == 0 && token.equals(":")) {
        colons.add(i);
      }
    }
    return colons;
  }
}
