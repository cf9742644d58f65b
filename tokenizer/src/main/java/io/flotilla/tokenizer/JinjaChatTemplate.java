package io.flotilla.tokenizer;

import io.flotilla.tokenizer.jinja.JinjaTemplate;
import java.time.Clock;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** A template with the variables that transformers gives it. */
final class JinjaChatTemplate implements ChatTemplate {
  private static final Duration LONGEST_RENDERING = Duration.ofSeconds(5);

  private final JinjaTemplate template;
  private final Map<String, String> specialTokens;

  JinjaChatTemplate(String template, Map<String, String> specialTokens, Clock clock) {
    try {
      this.template = new JinjaTemplate(template, clock, LONGEST_RENDERING);
    } catch (IllegalArgumentException e) {
      throw new TokenizerException(e.getMessage() + "; replace it with --chat-template", e);
    }
    this.specialTokens = Map.copyOf(specialTokens);
  }

  @Override
  public String render(
      List<ChatMessage> messages, boolean addGenerationPrompt, Map<String, Object> variables) {
    Map<String, Object> bindings = new HashMap<>(variables);
    // A vocabulary may lack them, and many a template adds them unasked.
    bindings.put("bos_token", "");
    bindings.put("eos_token", "");
    bindings.putAll(specialTokens);
    bindings.put(
        "messages",
        messages.stream()
            .map(message -> Map.of("role", message.role(), "content", message.content()))
            .toList());
    bindings.put("add_generation_prompt", addGenerationPrompt);
    return template.render(bindings);
  }
}
