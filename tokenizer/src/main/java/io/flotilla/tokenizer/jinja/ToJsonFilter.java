package io.flotilla.tokenizer.jinja;

import com.hubspot.jinjava.interpret.JinjavaInterpreter;
import com.hubspot.jinjava.lib.filter.AdvancedFilter;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** {@code value|tojson(indent)}: what Python's {@code json.dumps(ensure_ascii=False)} writes. */
final class ToJsonFilter implements AdvancedFilter {
  @Override
  public String getName() {
    return "tojson";
  }

  @Override
  public Object filter(
      @Nullable Object value,
      JinjavaInterpreter interpreter,
      Object[] arguments,
      Map<String, Object> named) {
    Object indent = arguments.length > 0 ? arguments[0] : named.get("indent");
    StringBuilder json = new StringBuilder();
    write(json, value, indent instanceof Number spaces ? spaces.intValue() : -1, 0);
    return json.toString();
  }

  /**
   * @param indent spaces for each level, or -1 for one line
   */
  private static void write(StringBuilder json, @Nullable Object value, int indent, int depth) {
    switch (value) {
      case null -> json.append("null");
      case Boolean bool -> json.append(bool);
      case Number number -> json.append(number);
      case Map<?, ?> map -> {
        Iterator<? extends Map.Entry<?, ?>> entries = map.entrySet().iterator();
        json.append('{');
        while (entries.hasNext()) {
          Map.Entry<?, ?> entry = entries.next();
          newLine(json, indent, depth + 1);
          writeText(json, String.valueOf(entry.getKey()));
          json.append(": ");
          write(json, entry.getValue(), indent, depth + 1);
          separate(json, entries.hasNext(), indent);
        }
        close(json, '}', map.isEmpty(), indent, depth);
      }
      case List<?> list -> {
        Iterator<?> elements = list.iterator();
        json.append('[');
        while (elements.hasNext()) {
          newLine(json, indent, depth + 1);
          write(json, elements.next(), indent, depth + 1);
          separate(json, elements.hasNext(), indent);
        }
        close(json, ']', list.isEmpty(), indent, depth);
      }
      default -> writeText(json, value.toString());
    }
  }

  private static void separate(StringBuilder json, boolean more, int indent) {
    if (more) {
      json.append(indent < 0 ? ", " : ",");
    }
  }

  private static void close(
      StringBuilder json, char bracket, boolean empty, int indent, int depth) {
    if (!empty) {
      newLine(json, indent, depth);
    }
    json.append(bracket);
  }

  private static void newLine(StringBuilder json, int indent, int depth) {
    if (indent >= 0) {
      json.append('\n').repeat(' ', Math.min(indent, 16) * depth);
    }
  }

  private static void writeText(StringBuilder json, String text) {
    json.append('"');
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      switch (c) {
        case '"' -> json.append("\\\"");
        case '\\' -> json.append("\\\\");
        case '\n' -> json.append("\\n");
        case '\r' -> json.append("\\r");
        case '\t' -> json.append("\\t");
        case '\b' -> json.append("\\b");
        case '\f' -> json.append("\\f");
        default -> {
          if (c < ' ') {
            json.append("\\u%04x".formatted((int) c));
          } else {
            json.append(c);
          }
        }
      }
    }
    json.append('"');
  }
}
