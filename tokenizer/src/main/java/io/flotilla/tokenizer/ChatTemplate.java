package io.flotilla.tokenizer;

import java.nio.file.Path;
import java.time.Clock;
import java.time.ZoneId;
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

  /**
   * The template of a model's folder: {@code chat_template.jinja}, else the default one of {@code
   * tokenizer_config.json}. Where there is none, it is {@link #missing}.
   *
   * @throws TokenizerException when a file cannot be read or the template is no Jinja
   */
  static ChatTemplate load(Path folder) {
    ChatTemplateFiles files = new ChatTemplateFiles(folder);
    String template = files.template();
    return template == null ? missing(folder.toString()) : of(template, files.specialTokens());
  }

  /**
   * A template in place of that of a model's folder, with the folder's special tokens.
   *
   * @param replacement a file, or the template itself
   * @throws TokenizerException when it is neither
   */
  static ChatTemplate load(Path folder, String replacement) {
    return of(ChatTemplateFiles.textOf(replacement), new ChatTemplateFiles(folder).specialTokens());
  }

  /**
   * A template in place of that of a model in one file.
   *
   * @param replacement a file, or the template itself
   * @param specialTokens such as {@link GgufVocabulary#specialTokens}
   * @throws TokenizerException when it is neither
   */
  static ChatTemplate load(String replacement, Map<String, String> specialTokens) {
    return of(ChatTemplateFiles.textOf(replacement), specialTokens);
  }

  /**
   * A template of a model in one file.
   *
   * @param template Jinja, as the file has it
   * @param specialTokens such as {@link GgufVocabulary#specialTokens}
   * @throws TokenizerException when the template is no Jinja
   */
  static ChatTemplate of(String template, Map<String, String> specialTokens) {
    return new JinjaChatTemplate(template, specialTokens, Clock.system(ZoneId.systemDefault()));
  }

  /** Refuses every conversation: the model has no template. */
  static ChatTemplate missing(String model) {
    return (messages, addGenerationPrompt, variables) -> {
      throw new IllegalArgumentException(
          model
              + " has no chat template: give one with --chat-template, or use completions in place"
              + " of chat");
    };
  }
}
