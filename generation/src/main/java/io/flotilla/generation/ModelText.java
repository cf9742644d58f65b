package io.flotilla.generation;

import io.flotilla.checkpoint.Checkpoint;
import io.flotilla.checkpoint.GgufTokenizer;
import io.flotilla.checkpoint.hub.DownloadListener;
import io.flotilla.checkpoint.hub.Hub;
import io.flotilla.checkpoint.hub.HubSettings;
import io.flotilla.tokenizer.ChatTemplate;
import io.flotilla.tokenizer.GgufVocabulary;
import io.flotilla.tokenizer.Tokenizer;
import io.flotilla.tokenizer.TokenizerException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/** The text side of a model, which needs no weights. Thread-safe. */
public record ModelText(Tokenizer tokenizer, ChatTemplate chatTemplate) implements AutoCloseable {
  /**
   * Finds a model and reads its tokenizer and template.
   *
   * @param model a folder, a {@code .gguf} file or a Hugging Face id, of which no weights are
   *     fetched
   * @param chatTemplate a template's file or text that replaces the model's, or null
   * @throws io.flotilla.checkpoint.CheckpointException when the model cannot be had
   * @throws TokenizerException when its tokenizer or the template cannot be used
   */
  public static ModelText load(
      String model, @Nullable String chatTemplate, DownloadListener listener) {
    Path path = new Hub(HubSettings.ofEnvironment()).resolveWithoutWeights(model, listener);
    if (Files.isDirectory(path)) {
      return ofFolder(path, chatTemplate);
    }
    try (Checkpoint checkpoint = Checkpoint.open(path)) {
      return ofGguf(path, checkpoint.tokenizer(), chatTemplate);
    }
  }

  /** The text side of a folder or a GGUF file that is open. */
  static ModelText of(Path path, Checkpoint checkpoint, @Nullable String chatTemplate) {
    return Files.isDirectory(path)
        ? ofFolder(path, chatTemplate)
        : ofGguf(path, checkpoint.tokenizer(), chatTemplate);
  }

  static ModelText ofFolder(Path folder, @Nullable String chatTemplate) {
    ChatTemplate template =
        chatTemplate == null ? ChatTemplate.load(folder) : ChatTemplate.load(folder, chatTemplate);
    return new ModelText(Tokenizer.load(folder), template);
  }

  private static ModelText ofGguf(
      Path file, @Nullable GgufTokenizer stored, @Nullable String chatTemplate) {
    if (stored == null) {
      throw new TokenizerException(
          file + " has no tokenizer; name a model that has it with --tokenizer");
    }
    GgufVocabulary vocabulary = vocabulary(stored);
    return new ModelText(
        Tokenizer.of(vocabulary), template(file, stored, vocabulary, chatTemplate));
  }

  private static ChatTemplate template(
      Path file, GgufTokenizer stored, GgufVocabulary vocabulary, @Nullable String replacement) {
    if (replacement != null) {
      return ChatTemplate.load(replacement, vocabulary.specialTokens());
    }
    String own = stored.chatTemplate();
    return own == null
        ? ChatTemplate.missing(file.toString())
        : ChatTemplate.of(own, vocabulary.specialTokens());
  }

  private static GgufVocabulary vocabulary(GgufTokenizer stored) {
    return new GgufVocabulary(
        stored.model(),
        stored.pre(),
        stored.tokens(),
        stored.types(),
        stored.scores(),
        stored.merges(),
        stored.beginningOfSequence(),
        stored.endOfSequence(),
        stored.unknown(),
        stored.addBeginningOfSequence(),
        stored.addEndOfSequence(),
        stored.addSpacePrefix());
  }

  @Override
  public void close() {
    tokenizer.close();
  }
}
