package io.flotilla.tokenizer.jinja;

import java.beans.FeatureDescriptor;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import jinjava.javax.el.ELContext;
import jinjava.javax.el.ELResolver;
import jinjava.javax.el.MethodNotFoundException;
import org.jspecify.annotations.Nullable;

/** Methods and elements of texts, lists and maps as Python has them. */
final class PythonResolver extends ELResolver {
  /** The method that {@link JinjaSource} writes for {@code value[start:stop:step]}. */
  static final String SLICE = "slice";

  @Override
  public @Nullable Object invoke(
      ELContext context,
      @Nullable Object base,
      Object method,
      Class<?>[] types,
      @Nullable Object[] arguments) {
    Object result =
        switch (base) {
          case String text when method.equals(SLICE) -> slice(text, arguments);
          case String text -> PythonStrings.call(text, method.toString(), arguments);
          case List<?> list when method.equals(SLICE) -> slice(list, arguments);
          case Map<?, ?> map when method.equals("get") -> get(map, arguments);
          case Map<?, ?> map when method.equals("values") -> new ArrayList<>(map.values());
          case null, default -> null;
        };
    boolean isOurs =
        result != null
            || (base instanceof Map && method.equals("get"))
            || base instanceof String
            || base instanceof Number
            || base instanceof Boolean;
    if (isOurs) {
      if (result == null && !(base instanceof Map)) {
        throw new MethodNotFoundException("there is no method " + method);
      }
      context.setPropertyResolved(true);
    }
    return result;
  }

  private static @Nullable Object get(Map<?, ?> map, @Nullable Object[] arguments) {
    Object value = map.get(arguments[0]);
    return value == null && arguments.length > 1 ? arguments[1] : value;
  }

  private static String slice(String text, @Nullable Object[] bounds) {
    StringBuilder sliced = new StringBuilder();
    for (int index : indices(text.length(), bounds)) {
      sliced.append(text.charAt(index));
    }
    return sliced.toString();
  }

  private static List<Object> slice(List<?> list, @Nullable Object[] bounds) {
    List<Object> sliced = new ArrayList<>();
    for (int index : indices(list.size(), bounds)) {
      sliced.add(list.get(index));
    }
    return sliced;
  }

  /** The indices that Python's {@code slice(start, stop, step).indices(length)} ranges over. */
  private static List<Integer> indices(int length, @Nullable Object[] bounds) {
    int step = bounds[2] instanceof Number number ? number.intValue() : 1;
    if (step == 0) {
      throw new RefusedException("the step of a slice is 0");
    }
    int first = step > 0 ? 0 : length - 1;
    int last = step > 0 ? length : -1;
    int start = bound(bounds[0], length, step, first);
    int stop = bound(bounds[1], length, step, last);
    List<Integer> indices = new ArrayList<>();
    for (long i = start; step > 0 ? i < stop : i > stop; i += step) {
      indices.add((int) i);
    }
    return indices;
  }

  private static int bound(@Nullable Object value, int length, int step, int absent) {
    if (!(value instanceof Number number)) {
      return absent;
    }
    long index = number.longValue() < 0 ? number.longValue() + length : number.longValue();
    return step > 0 ? Math.clamp(index, 0, length) : Math.clamp(index, -1, length - 1);
  }

  /** An element of a text; lists and maps have theirs from jinjava. */
  @Override
  public @Nullable Object getValue(
      ELContext context, @Nullable Object base, @Nullable Object property) {
    if (!(base instanceof String text) || property == null) {
      return null;
    }
    context.setPropertyResolved(true);
    try {
      int index = Integer.parseInt(property.toString());
      int position = index < 0 ? index + text.length() : index;
      return position >= 0 && position < text.length()
          ? String.valueOf(text.charAt(position))
          : null;
    } catch (NumberFormatException e) {
      return null; // A text has no attributes; Jinja2 calls that undefined.
    }
  }

  @Override
  public @Nullable Class<?> getType(
      ELContext context, @Nullable Object base, @Nullable Object property) {
    return null;
  }

  @Override
  public void setValue(
      ELContext context,
      @Nullable Object base,
      @Nullable Object property,
      @Nullable Object value) {}

  @Override
  public boolean isReadOnly(ELContext context, @Nullable Object base, @Nullable Object property) {
    return true;
  }

  @Override
  public @Nullable Iterator<FeatureDescriptor> getFeatureDescriptors(
      ELContext context, @Nullable Object base) {
    return null;
  }

  @Override
  public @Nullable Class<?> getCommonPropertyType(ELContext context, @Nullable Object base) {
    return null;
  }
}
