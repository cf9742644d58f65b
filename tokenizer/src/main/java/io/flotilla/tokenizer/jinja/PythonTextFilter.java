package io.flotilla.tokenizer.jinja;

import com.hubspot.jinjava.interpret.JinjavaInterpreter;
import com.hubspot.jinjava.lib.filter.Filter;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/** What Python's {@code str} makes of a value that a template prints; undefined is no text. */
final class PythonTextFilter implements Filter {
  static final String NAME = "python_text";

  @Override
  public String getName() {
    return NAME;
  }

  @Override
  public Object filter(
      @Nullable Object value, JinjavaInterpreter interpreter, String... arguments) {
    return switch (value) {
      case null -> "";
      case Boolean bool -> bool ? "True" : "False";
      case List<?> list -> quoted(list);
      case Map<?, ?> map -> quoted(map);
      default -> value;
    };
  }

  private static String quoted(@Nullable Object value) {
    return switch (value) {
      case null -> "None";
      case Boolean bool -> bool ? "True" : "False";
      case List<?> list ->
          list.stream().map(PythonTextFilter::quoted).collect(Collectors.joining(", ", "[", "]"));
      case Map<?, ?> map ->
          map.entrySet().stream()
              .map(entry -> quoted(entry.getKey()) + ": " + quoted(entry.getValue()))
              .collect(Collectors.joining(", ", "{", "}"));
      case CharSequence text -> quote(text.toString());
      default -> value.toString();
    };
  }

  private static String quote(String text) {
    String escaped =
        text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t");
    boolean hasSingle = escaped.contains("'");
    return hasSingle && !escaped.contains("\"")
        ? "\"" + escaped + "\""
        : "'" + escaped.replace("'", "\\'") + "'";
  }
}
