package io.flotilla.tokenizer.jinja;

import com.hubspot.jinjava.interpret.JinjavaInterpreter;
import com.hubspot.jinjava.lib.exptest.ExpTest;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/** The tests ({@code value is string}) whose answer differs between jinjava and Jinja2. */
final class PythonTests {
  private PythonTests() {}

  private record PythonTest(String name, Predicate<@Nullable Object> predicate) implements ExpTest {
    @Override
    public String getName() {
      return name;
    }

    @Override
    public boolean evaluate(
        @Nullable Object value, JinjavaInterpreter interpreter, Object... arguments) {
      return predicate.test(value);
    }
  }

  static List<ExpTest> all() {
    return List.of(
        new PythonTest("string", value -> value instanceof CharSequence),
        new PythonTest("mapping", value -> value instanceof Map),
        new PythonTest("iterable", PythonTests::isIterable),
        new PythonTest("sequence", PythonTests::isIterable),
        new PythonTest("boolean", value -> value instanceof Boolean),
        new PythonTest("true", Boolean.TRUE::equals),
        new PythonTest("false", Boolean.FALSE::equals),
        new PythonTest("number", value -> value instanceof Number),
        new PythonTest("integer", value -> value instanceof Integer || value instanceof Long));
  }

  /** A text is, as in Python. */
  private static boolean isIterable(@Nullable Object value) {
    return value instanceof CharSequence || value instanceof Iterable || value instanceof Map;
  }
}
