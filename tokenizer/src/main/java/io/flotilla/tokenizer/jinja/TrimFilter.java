package io.flotilla.tokenizer.jinja;

import com.hubspot.jinjava.interpret.JinjavaInterpreter;
import com.hubspot.jinjava.lib.filter.Filter;
import org.jspecify.annotations.Nullable;

/** {@code value|trim}: what Python's {@code str.strip} does. */
final class TrimFilter implements Filter {
  @Override
  public String getName() {
    return "trim";
  }

  @Override
  public @Nullable Object filter(
      @Nullable Object value, JinjavaInterpreter interpreter, String... arguments) {
    if (value == null) {
      return "";
    }
    String characters = arguments.length == 0 ? null : arguments[0];
    return PythonStrings.strip(value.toString(), characters, true, true);
  }
}
