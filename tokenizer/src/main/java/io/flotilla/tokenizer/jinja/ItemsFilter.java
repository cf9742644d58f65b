package io.flotilla.tokenizer.jinja;

import com.hubspot.jinjava.interpret.JinjavaInterpreter;
import com.hubspot.jinjava.lib.filter.Filter;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** {@code map|items}: its entries; none of what is undefined. */
final class ItemsFilter implements Filter {
  @Override
  public String getName() {
    return "items";
  }

  @Override
  public Object filter(
      @Nullable Object value, JinjavaInterpreter interpreter, String... arguments) {
    return switch (value) {
      case null -> List.of();
      case Map<?, ?> map -> new ArrayList<>(map.entrySet());
      default -> throw new RefusedException("items needs a mapping");
    };
  }
}
