package io.flotilla.tokenizer.jinja;

import com.hubspot.jinjava.Jinjava;
import com.hubspot.jinjava.JinjavaConfig;
import com.hubspot.jinjava.LegacyOverrides;
import com.hubspot.jinjava.el.JinjavaInterpreterResolver;
import com.hubspot.jinjava.el.JinjavaProcessors;
import com.hubspot.jinjava.interpret.Context.Library;
import com.hubspot.jinjava.interpret.RenderResult;
import com.hubspot.jinjava.interpret.TemplateError;
import com.hubspot.jinjava.lib.fn.ELFunctionDefinition;
import java.time.Clock;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import jinjava.javax.el.CompositeELResolver;
import org.jspecify.annotations.Nullable;

/**
 * A template that renders as transformers' {@code apply_chat_template} does: Jinja2 with {@code
 * trim_blocks}, {@code lstrip_blocks}, loop controls, {@code raise_exception} and {@code
 * strftime_now}, in a sandbox. Thread-safe.
 *
 * <p>Templates come with models and are not trusted: they reach no files, classes or Java methods,
 * and time and size are bounded.
 */
public final class JinjaTemplate {
  private static final int LARGEST_OUTPUT = 64 << 20;
  private static final int LARGEST_COLLECTION = 1 << 20;
  private static final int LONGEST_RANGE = 100_000;
  private static final int DEEPEST_NESTING = 64;

  private final String source;
  private final Map<String, Object> literals;
  private final Clock clock;
  private final Duration limit;
  private final Jinjava jinjava;

  /**
   * @param template Jinja
   * @param clock what {@code strftime_now} reads
   * @param limit how long a rendering may take
   * @throws IllegalArgumentException when the template is no Jinja
   */
  public JinjaTemplate(String template, Clock clock, Duration limit) {
    JinjaSource translated = JinjaSource.translate(template);
    this.source = translated.text();
    this.literals = translated.symbols().literals();
    this.clock = clock;
    this.limit = limit;
    this.jinjava = new Jinjava(config());
    jinjava.registerFunction(
        new ELFunctionDefinition(
            "", "raise_exception", TemplateFunctions.class, "raiseException", Object.class));
    jinjava.registerFunction(
        new ELFunctionDefinition(
            "", "strftime_now", TemplateFunctions.class, "strftimeNow", String.class));
    jinjava.registerFilter(new ToJsonFilter());
    jinjava.registerFilter(new TrimFilter());
    PythonTests.all().forEach(jinjava::registerExpTest);
    jinjava.registerFilter(new ItemsFilter());
    jinjava.registerFilter(new PythonTextFilter());
    jinjava.registerFilter(new RequiredFilter());
    jinjava.registerTag(new ScopeTag(JinjaStatements.SCOPE));
    // Marks the assistant's text for training.
    jinjava.registerTag(new ScopeTag("generation"));
    requireKnown(translated.symbols());
  }

  /** Jinjava gives no text and no error for a filter that it does not know. */
  private void requireKnown(Symbols symbols) {
    for (String filter : symbols.filters()) {
      if (jinjava.getGlobalContext().getFilter(filter) == null) {
        throw new IllegalArgumentException(
            "the chat template uses the filter " + filter + ", which is not known");
      }
    }
    for (String test : symbols.tests()) {
      if (jinjava.getGlobalContext().getExpTest(test) == null) {
        throw new IllegalArgumentException(
            "the chat template uses the test " + test + ", which is not known");
      }
    }
  }

  private static JinjavaConfig config() {
    CompositeELResolver resolver = new CompositeELResolver();
    resolver.add(new PythonResolver());
    resolver.add(JinjavaInterpreterResolver.DEFAULT_RESOLVER_READ_ONLY);
    return JinjavaConfig.newBuilder()
        .withLegacyOverrides(
            LegacyOverrides.Builder.from(LegacyOverrides.ALL)
                // The source says by parentheses what binds tighter.
                .withUseNaturalOperatorPrecedence(false)
                .withUseSnakeCasePropertyNaming(false)
                .withDefaultKeepTrailingNewlineBehavior(true)
                .build())
        .withElResolver(resolver)
        .withNestedInterpretationEnabled(false)
        .withEnableRecursiveMacroCalls(true)
        .withMaxMacroRecursionDepth(DEEPEST_NESTING)
        .withMaxRenderDepth(DEEPEST_NESTING)
        .withMaxOutputSize(LARGEST_OUTPUT)
        .withMaxStringLength(LARGEST_OUTPUT)
        .withMaxListSize(LARGEST_COLLECTION)
        .withMaxMapSize(LARGEST_COLLECTION)
        .withRangeLimit(LONGEST_RANGE)
        .withDisabled(
            Map.of(Library.TAG, Set.of("include", "import", "from", "extends", "block", "cycle")))
        .withProcessors(
            JinjavaProcessors.newBuilder()
                .withNodePreProcessor((node, interpreter) -> Rendering.checkTime())
                .build())
        .build();
  }

  /**
   * @param variables maps, lists, strings, numbers, booleans
   * @throws IllegalArgumentException when the template refuses the variables by {@code
   *     raise_exception}, with its message; or when it fails
   */
  public String render(Map<String, ?> variables) {
    Map<String, Object> bindings = new HashMap<>(variables);
    bindings.putAll(literals);
    // Templates ask whether the functions are defined.
    bindings.put("strftime_now", true);
    bindings.put("raise_exception", true);
    RenderResult result =
        Rendering.call(clock, limit, () -> jinjava.renderForResult(source, bindings));
    List<TemplateError> errors = result.getErrors();
    if (!errors.isEmpty()) {
      throw failure(errors.getFirst());
    }
    return result.getOutput();
  }

  private static IllegalArgumentException failure(TemplateError error) {
    for (Throwable cause = error.getException(); cause != null; cause = cause.getCause()) {
      if (cause instanceof RefusedException refused) {
        return new IllegalArgumentException(refused.getMessage(), refused);
      }
    }
    @Nullable Exception cause = error.getException();
    return new IllegalArgumentException("the chat template fails: " + error.getMessage(), cause);
  }
}
