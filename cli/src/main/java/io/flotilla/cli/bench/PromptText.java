package io.flotilla.cli.bench;

import io.flotilla.checkpoint.hub.Hub;
import io.flotilla.checkpoint.hub.HubSettings;
import io.flotilla.cli.terminal.DownloadBar;
import io.flotilla.tokenizer.ChatMessage;
import io.flotilla.tokenizer.ChatTemplate;
import io.flotilla.tokenizer.Tokenizer;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/** The text side of the model under test, without its weights. */
record PromptText(Tokenizer tokenizer, ChatTemplate chat) implements AutoCloseable {
  /**
   * @param model a folder, a {@code .gguf} file or a hub id
   */
  static PromptText of(String model) {
    Path path;
    try (DownloadBar bar = new DownloadBar()) {
      path = new Hub(HubSettings.ofEnvironment()).resolve(model, bar);
    }
    return new PromptText(Tokenizer.load(path), ChatTemplate.load(path));
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
