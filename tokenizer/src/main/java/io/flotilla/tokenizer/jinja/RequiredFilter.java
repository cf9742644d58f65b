package io.flotilla.tokenizer.jinja;

import com.hubspot.jinjava.interpret.JinjavaInterpreter;
import com.hubspot.jinjava.lib.filter.Filter;
import org.jspecify.annotations.Nullable;

/** Refuses what is undefined; Jinja2 adds nothing to that. */
final class RequiredFilter implements Filter {
  static final String NAME = "required";

  @Override
  public String getName() {
    return NAME;
  }

  @Override
  public Object filter(
      @Nullable Object value, JinjavaInterpreter interpreter, String... arguments) {
    if (value == null) {
      throw new RefusedException("the chat template adds something to a value that is undefined");
    }
    return value;
  }
}
