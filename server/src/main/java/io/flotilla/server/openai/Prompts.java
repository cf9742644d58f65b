package io.flotilla.server.openai;

import java.util.ArrayList;
import java.util.List;
import tools.jackson.databind.JsonNode;

/** Reads prompts: a text, token ids, or a list of either. */
final class Prompts {
  private static final int MOST_PROMPTS = 2048;

  private Prompts() {}

  /**
   * @param prompt the field's value
   * @param addSpecialTokens to texts
   */
  static List<int[]> read(JsonNode prompt, ServedModel served, boolean addSpecialTokens) {
    if (prompt.isString()) {
      return List.of(encode("prompt", prompt, served, addSpecialTokens));
    }
    if (!prompt.isArray()) {
      throw Fields.wrongType("prompt", "a string, a list of token ids, or a list of those", prompt);
    }
    if (prompt.isEmpty()) {
      throw RefusedException.field("prompt", "prompt is an empty list; give at least one prompt");
    }
    if (prompt.get(0).isNumber()) {
      return List.of(tokens("prompt", prompt, served));
    }
    if (prompt.size() > MOST_PROMPTS) {
      throw RefusedException.field(
          "prompt", "prompt has " + prompt.size() + " prompts; at most " + MOST_PROMPTS);
    }
    List<int[]> prompts = new ArrayList<>();
    for (JsonNode element : prompt.values()) {
      String name = "prompt[" + prompts.size() + "]";
      prompts.add(
          element.isArray()
              ? tokens(name, element, served)
              : encode(name, element, served, addSpecialTokens));
    }
    return prompts;
  }

  private static int[] encode(
      String name, JsonNode text, ServedModel served, boolean addSpecialTokens) {
    int[] ids = served.model().tokenizer().encode(Fields.text(name, text), addSpecialTokens);
    if (ids.length == 0) {
      throw empty(name);
    }
    return ids;
  }

  /** Token ids that the model has. */
  static int[] tokens(String name, JsonNode list, ServedModel served) {
    if (list.isEmpty()) {
      throw empty(name);
    }
    int[] ids = new int[list.size()];
    for (int i = 0; i < ids.length; i++) {
      ids[i] = Fields.integer(name + "[" + i + "]", list.get(i), 0, served.largestTokenId());
    }
    return ids;
  }

  private static RefusedException empty(String name) {
    return RefusedException.field(name, name + " is empty; it needs at least one token");
  }
}
