package io.flotilla.cli.option;

import java.math.BigDecimal;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/**
 * A number of bytes: {@code 4294967296}, {@code 4GiB}, {@code 4G} (also binary), {@code 4.5GB} or
 * {@code 4g} (decimal), as vLLM reads them.
 */
public final class ByteSize implements ITypeConverter<Long> {
  private static final Pattern FORM = Pattern.compile("(\\d+(?:\\.\\d+)?)\\s*([A-Za-z]*)");
  private static final Map<String, Integer> POWERS = Map.of("k", 1, "m", 2, "g", 3, "t", 4);

  @Override
  public Long convert(String text) {
    Matcher matcher = FORM.matcher(text.strip());
    if (matcher.matches()) {
      String unit = matcher.group(2);
      Integer power =
          POWERS.get(unit.isEmpty() ? "" : unit.substring(0, 1).toLowerCase(Locale.ROOT));
      String rest = unit.isEmpty() ? "" : unit.substring(1);
      boolean known =
          unit.isEmpty() || unit.equals("B") || (power != null && rest.matches("|B|iB"));
      if (known) {
        boolean decimal = rest.equals("B") || !unit.equals(unit.toUpperCase(Locale.ROOT));
        long base = decimal && !rest.equals("iB") ? 1000 : 1024;
        BigDecimal factor = BigDecimal.valueOf(base).pow(power == null ? 0 : power);
        return new BigDecimal(matcher.group(1)).multiply(factor).toBigInteger().longValueExact();
      }
    }
    throw new TypeConversionException(
        "'" + text + "' is no number of bytes; write it like 4GiB, 512MiB or 4294967296");
  }

  /** Bytes for a reader: {@code 1.2 GiB}. */
  public static String format(long bytes) {
    String[] units = {"B", "KiB", "MiB", "GiB", "TiB"};
    int unit = 0;
    double value = bytes;
    while (value >= 1024 && unit < units.length - 1) {
      value /= 1024;
      unit++;
    }
    return String.format(Locale.ROOT, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
  }
}
