package io.flotilla.tokenizer.jinja;

import com.hubspot.jinjava.objects.date.StrftimeFormatter;
import java.time.ZonedDateTime;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/** The functions that transformers gives templates. Called by jinjava alone. */
public final class TemplateFunctions {
  private TemplateFunctions() {}

  /** Ends the rendering: the conversation is not one that the template takes. */
  public static Object raiseException(@Nullable Object message) {
    throw new RefusedException(String.valueOf(message));
  }

  /** The time now, in the format of C's {@code strftime}. */
  public static String strftimeNow(String format) {
    return StrftimeFormatter.format(
        ZonedDateTime.now(Rendering.current().clock()), format, Locale.ENGLISH);
  }
}
