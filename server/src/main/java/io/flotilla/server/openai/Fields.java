package io.flotilla.server.openai;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.type.TypeReference;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/**
 * The fields of a JSON object, each checked as it is taken; what nobody took is refused at the end.
 * A field that is null counts as absent, as it does for OpenAI.
 */
final class Fields {
  private static final int LONGEST_QUOTE = 40;

  private final ObjectNode object;
  private final String path;
  private final Set<String> taken = new HashSet<>();

  /**
   * @param path what names of fields begin with in messages, such as {@code messages[0].}
   */
  Fields(ObjectNode object, String path) {
    this.object = object;
    this.path = path;
  }

  /** The name as messages have it. */
  String name(String field) {
    return path + field;
  }

  /** A field's value, or null. */
  @Nullable JsonNode take(String field) {
    taken.add(field);
    JsonNode value = object.get(field);
    return value == null || value.isNull() ? null : value;
  }

  @Nullable String text(String field) {
    JsonNode value = take(field);
    return value == null ? null : text(name(field), value);
  }

  boolean flag(String field, boolean unset) {
    JsonNode value = take(field);
    if (value == null) {
      return unset;
    }
    if (!value.isBoolean()) {
      throw wrongType(name(field), "true or false", value);
    }
    return value.booleanValue();
  }

  @Nullable Integer integer(String field, int least, int most) {
    JsonNode value = take(field);
    return value == null ? null : integer(name(field), value, least, most);
  }

  @Nullable Long longInteger(String field) {
    JsonNode value = take(field);
    if (value == null) {
      return null;
    }
    if (!value.isIntegralNumber()) {
      throw wrongType(name(field), "an integer", value);
    }
    if (!value.canConvertToLong()) {
      throw RefusedException.field(name(field), name(field) + " does not fit 64 bits");
    }
    return value.longValue();
  }

  float number(String field, float unset, double least, double most) {
    JsonNode value = take(field);
    return value == null ? unset : number(name(field), value, least, most);
  }

  /** The value of a field that is an object, or null. */
  @Nullable Fields object(String field) {
    JsonNode value = take(field);
    if (value == null) {
      return null;
    }
    if (!(value instanceof ObjectNode node)) {
      throw wrongType(name(field), "an object", value);
    }
    return new Fields(node, name(field) + ".");
  }

  /** Elements of a field that is a list; empty when it is absent. */
  List<JsonNode> list(String field) {
    JsonNode value = take(field);
    if (value == null) {
      return List.of();
    }
    if (!value.isArray()) {
      throw wrongType(name(field), "a list", value);
    }
    return List.copyOf(value.values());
  }

  /** A field that is a list of integers; empty when it is absent. */
  List<Integer> integers(String field, int least, int most) {
    List<Integer> integers = new ArrayList<>();
    for (JsonNode element : list(field)) {
      integers.add(integer(name(field) + "[" + integers.size() + "]", element, least, most));
    }
    return integers;
  }

  /** All fields as plain values; every one counts as taken. */
  Map<String, Object> values() {
    taken.addAll(object.propertyNames());
    return JsonMapper.shared().convertValue(object, new TypeReference<Map<String, Object>>() {});
  }

  Set<String> names() {
    return Set.copyOf(object.propertyNames());
  }

  /**
   * @throws RefusedException when there is a field that nobody took
   */
  void refuseUnknown() {
    for (String field : object.propertyNames()) {
      if (!taken.contains(field)) {
        String name = name(quote(field));
        throw RefusedException.field(name, "unknown field " + name + "; leave it out");
      }
    }
  }

  static String text(String name, JsonNode value) {
    if (!value.isString()) {
      throw wrongType(name, "a string", value);
    }
    String text = value.stringValue();
    for (int i = 0; i < text.length(); i++) {
      if (Character.isSurrogate(text.charAt(i))) {
        if (!Character.isSurrogatePair(
            text.charAt(i), i + 1 < text.length() ? text.charAt(i + 1) : ' ')) {
          throw RefusedException.field(
              name, name + " has half a surrogate pair at " + i + "; it is no Unicode text");
        }
        i++;
      }
    }
    return text;
  }

  static int integer(String name, JsonNode value, int least, int most) {
    if (!value.isIntegralNumber()) {
      throw wrongType(name, "an integer", value);
    }
    if (!value.canConvertToInt() || value.intValue() < least || value.intValue() > most) {
      throw RefusedException.field(
          name, name + " is " + quote(value.asString()) + "; it must be " + least + " to " + most);
    }
    return value.intValue();
  }

  static float number(String name, JsonNode value, double least, double most) {
    if (!value.isNumber()) {
      throw wrongType(name, "a number", value);
    }
    double number = doubleOf(value);
    // NaN is in no range, and an infinity is beyond every one.
    if (!(number >= least && number <= most)) {
      throw RefusedException.field(
          name, name + " is " + quote(value.asString()) + "; it must be " + least + " to " + most);
    }
    return (float) number;
  }

  /** A number's nearest double; an infinity where it is beyond all of them. */
  static double doubleOf(JsonNode number) {
    // The node's own doubleValue throws for those.
    return number.numberValue().doubleValue();
  }

  static RefusedException wrongType(String name, String expected, JsonNode value) {
    String found =
        switch (value.getNodeType()) {
          case ARRAY -> "a list";
          case BOOLEAN -> "a boolean";
          case NULL, MISSING -> "null";
          case NUMBER -> "a number";
          case OBJECT -> "an object";
          case STRING -> "a string";
          case BINARY, POJO -> "something else";
        };
    return RefusedException.field(name, name + " is " + found + "; it must be " + expected);
  }

  /** A value as a message shows it: short, so that an error is no echo of a body. */
  static String quote(String value) {
    return value.length() <= LONGEST_QUOTE ? value : value.substring(0, LONGEST_QUOTE) + "...";
  }
}
