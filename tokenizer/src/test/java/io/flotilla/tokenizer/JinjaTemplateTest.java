package io.flotilla.tokenizer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.flotilla.tokenizer.jinja.JinjaTemplate;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.core.type.TypeReference;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;

class JinjaTemplateTest {
  static final Clock CLOCK = Clock.fixed(Instant.parse("2025-03-07T09:05:02Z"), ZoneOffset.UTC);

  private static JinjaTemplate template(String source) {
    return new JinjaTemplate(source, CLOCK, Duration.ofMinutes(1));
  }

  static List<JsonNode> snippets() {
    return Goldens.read("snippets.json");
  }

  @ParameterizedTest
  @MethodSource("snippets")
  void rendersAsJinja2Does(JsonNode golden) {
    Map<String, Object> values =
        new ObjectMapper()
            .convertValue(Goldens.read("snippet-values.json").getFirst(), new TypeReference<>() {});
    String source = golden.get("template").asString();
    if (golden.has("error")) {
      assertThatThrownBy(() -> template(source).render(values))
          .as(source)
          .isInstanceOf(IllegalArgumentException.class);
    } else {
      assertThat(template(source).render(values))
          .as(source)
          .isEqualTo(golden.get("text").asString());
    }
  }

  @Test
  void neverRendersWhatAVariableSays() {
    JinjaTemplate template = template("{{ x }}{% if x %}{{ x|trim }}{% endif %}");
    String hostile = "{{ 7 * 7 }}{% include '/etc/passwd' %}{{ raise_exception('x') }}";
    assertThat(template.render(Map.of("x", hostile))).isEqualTo(hostile + hostile);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{% include 'META-INF/MANIFEST.MF' %}",
        "{% import 'META-INF/MANIFEST.MF' as m %}",
        "{% extends 'META-INF/MANIFEST.MF' %}",
        "{{ 'a'.repeat(1000000000) }}",
        "{{ 'a'.getBytes() }}",
        "{{ 'a'.split('') }}",
        "{{ xs[::0] }}",
        "{% unknown %}",
        "{{ x|unknown }}",
        "{{ unknown() }}",
        "{{ x is unknown }}",
        "{% filter upper %}x{% endfilter %}",
        "{{ x * 3 }}",
        "{{ x.unknown() }}",
        "{{ 'a' + x.attribute }}",
        "{{ 'a' + undefined_value }}",
        "{{ undefined_value + 'a' }}",
        "{% set y = x|upper + undefined_value if x else '' %}",
        "{% for y %}{% endfor %}",
        "{% endif %}",
        "{{ x) }}",
        "{{ }}",
        "{% if x %}"
      })
  void refusesWhatTemplatesMayNotDo(String source) {
    assertThatThrownBy(() -> template(source).render(Map.of("x", "text", "xs", List.of("a", "b"))))
        .isInstanceOf(IllegalArgumentException.class);
  }

  @ParameterizedTest
  @ValueSource(strings = {"getClass", "class", "forName", "classLoader"})
  void reachesNoJavaClasses(String member) {
    for (Object value : List.of("text", List.of(1), Map.of("k", 1), 5, true)) {
      for (String call : List.of("", "()")) {
        JinjaTemplate template = template("{{ x." + member + call + " }}");
        try {
          assertThat(template.render(Map.of("x", value))).isEmpty();
        } catch (IllegalArgumentException refused) {
          assertThat(refused).hasMessageStartingWith("the chat template fails");
        }
      }
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}"
            + "{{ a }}{% endfor %}{% endfor %}{% endfor %}",
        "{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}",
        "{% set ns = namespace(s='aaaaaaaa') %}{% for i in range(99) %}"
            + "{% set ns.s = ns.s + ns.s %}{% endfor %}{{ ns.s }}"
      })
  void endsTemplatesThatDoNotEnd(String source) {
    long start = System.nanoTime();
    JinjaTemplate template = new JinjaTemplate(source, CLOCK, Duration.ofSeconds(1));
    assertThatThrownBy(() -> template.render(Map.of()))
        .isInstanceOf(IllegalArgumentException.class);
    assertThat(Duration.ofNanos(System.nanoTime() - start)).isLessThan(Duration.ofSeconds(30));
  }
}
