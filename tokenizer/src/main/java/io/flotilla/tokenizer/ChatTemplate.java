package io.flotilla.tokenizer;

import java.util.List;
import java.util.Map;

/** Renders a conversation into the text a model was trained on. Thread-safe. */
@FunctionalInterface
public interface ChatTemplate {
  /**
   * @param addGenerationPrompt whether the text ends with the opening of the assistant's turn
   * @param variables further variables of the template, such as {@code enable_thinking}
   * @throws IllegalArgumentException when the template refuses the conversation, with its reason
   */
  String render(
      List<ChatMessage> messages, boolean addGenerationPrompt, Map<String, Object> variables);
}
