package io.flotilla.generation;

import io.flotilla.checkpoint.ModelConfig;
import io.flotilla.tokenizer.TokenizerException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * The text side of a model while it loads: a large vocabulary takes most of a second, in which
 * weights go to their devices.
 */
record PendingText(CompletableFuture<ModelText> loading) {
  /**
   * Starts to load.
   *
   * @param parts gets what is loaded
   */
  static PendingText start(Supplier<ModelText> reading, OpenedParts parts) {
    CompletableFuture<ModelText> loading =
        CompletableFuture.supplyAsync(
            reading, task -> Thread.ofPlatform().daemon().name("flotilla-text").start(task));
    parts.add(() -> loading.handle((loaded, _) -> loaded).thenAccept(PendingText::close).join());
    return new PendingText(loading);
  }

  private static void close(@Nullable ModelText loaded) {
    if (loaded != null) {
      loaded.close();
    }
  }

  /**
   * Waits for it.
   *
   * @throws TokenizerException when it cannot be used, or is another model's
   */
  ModelText of(ModelConfig config) {
    ModelText text;
    try {
      text = loading.join();
    } catch (CompletionException e) {
      throw e.getCause() instanceof RuntimeException cause ? cause : e;
    }
    int tokens = text.tokenizer().vocabularySize();
    if (tokens > config.vocabularySize()) {
      throw new TokenizerException(
          "the tokenizer has %d tokens but the model only %d: they do not belong together; name the model's own with --tokenizer"
              .formatted(tokens, config.vocabularySize()));
    }
    return text;
  }
}
