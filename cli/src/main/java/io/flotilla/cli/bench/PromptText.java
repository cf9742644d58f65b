package io.flotilla.cli.bench;

import io.flotilla.cli.terminal.DownloadBar;
import io.flotilla.generation.ModelText;
import io.flotilla.tokenizer.ChatMessage;
import io.flotilla.tokenizer.ChatTemplate;
import io.flotilla.tokenizer.Tokenizer;
import java.util.List;
import java.util.Map;

/** The text side of the model under test, without its weights. */
record PromptText(Tokenizer tokenizer, ChatTemplate chat) implements AutoCloseable {
  /**
   * @param model a folder, a {@code .gguf} file or a hub id
   */
  static PromptText of(String model) {
    try (DownloadBar bar = new DownloadBar()) {
      ModelText text = ModelText.load(model, null, bar);
      return new PromptText(text.tokenizer(), text.chatTemplate());
    }
  }

  /** A prompt as one turn of a user's. */
  String template(String prompt) {
    return chat.render(List.of(new ChatMessage("user", prompt)), true, Map.of());
  }

  @Override
  public void close() {
    tokenizer.close();
  }
}
