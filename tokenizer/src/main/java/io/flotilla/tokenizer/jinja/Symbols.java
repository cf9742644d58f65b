package io.flotilla.tokenizer.jinja;

import java.util.Map;
import java.util.Set;

/**
 * What a template names.
 *
 * @param literals its strings, by the variables that took their place
 */
record Symbols(Map<String, Object> literals, Set<String> filters, Set<String> tests) {
  /** The variable of a string. */
  String literal(String value) {
    String name = "literal_" + literals.size();
    literals.put(name, value);
    return name;
  }
}
