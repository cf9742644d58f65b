package io.flotilla.generation;

import io.flotilla.checkpoint.Checkpoint;
import io.flotilla.checkpoint.CheckpointException;
import io.flotilla.checkpoint.ConfigFiles;
import io.flotilla.checkpoint.DummyWeights;
import io.flotilla.checkpoint.ElementType;
import io.flotilla.checkpoint.GenerationDefaults;
import io.flotilla.checkpoint.ModelConfig;
import io.flotilla.checkpoint.WeightSource;
import io.flotilla.checkpoint.hub.Hub;
import io.flotilla.checkpoint.hub.HubSettings;
import io.flotilla.model.Architectures;
import io.flotilla.tokenizer.TokenizerException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Locale;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * A model that was found and opened, nothing of it on a device yet.
 *
 * @param identity of the weights, as far as it is known without reading them
 * @param pendingText what becomes {@link #text}: a large vocabulary takes most of a second to load,
 *     in which weights go to their devices
 */
record ModelSource(
    ModelConfig config,
    GenerationDefaults defaults,
    WeightSource weights,
    String identity,
    CompletableFuture<ModelText> pendingText) {

  /**
   * Finds a model, downloads it if it must be, and opens it.
   *
   * @param parts gets everything that is opened
   */
  static ModelSource open(EngineOptions options, LoadListener progress, OpenedParts parts) {
    boolean dummy = options.loadFormat().equals("dummy");
    ElementType type = dummy ? dummyType(options.quantization()) : null;
    Hub hub = new Hub(HubSettings.ofEnvironment());
    Path path =
        dummy
            ? hub.resolveWithoutWeights(options.model(), progress)
            : hub.resolve(options.model(), progress);
    return type == null
        ? openStored(path, options, progress, parts)
        : openDummy(path, type, options, progress, parts);
  }

  private static ModelSource openStored(
      Path path, EngineOptions options, LoadListener progress, OpenedParts parts) {
    Checkpoint checkpoint = Checkpoint.open(path);
    parts.add(checkpoint::close);
    Architectures.requireSupported(checkpoint.config());
    CompletableFuture<ModelText> text =
        load(
            () ->
                options.tokenizer() == null
                    ? ModelText.of(path, checkpoint, options.chatTemplate())
                    : ModelText.load(options.tokenizer(), options.chatTemplate(), progress),
            parts);
    return new ModelSource(
        checkpoint.config(), checkpoint.generation(), checkpoint, checkpoint.index(), text);
  }

  private static ModelSource openDummy(
      Path path,
      ElementType type,
      EngineOptions options,
      LoadListener progress,
      OpenedParts parts) {
    if (!Files.isDirectory(path)) {
      throw new CheckpointException(
          path
              + " is a file, but --load-format dummy makes weights from the config.json of a"
              + " folder; name a folder or leave --load-format out");
    }
    ModelConfig config = ConfigFiles.model(path);
    Architectures.requireSupported(config);
    CompletableFuture<ModelText> text =
        load(
            () ->
                options.tokenizer() == null
                    ? ModelText.ofFolder(path, options.chatTemplate())
                    : ModelText.load(options.tokenizer(), options.chatTemplate(), progress),
            parts);
    DummyWeights weights = new DummyWeights(config, type, options.seed());
    parts.add(weights::close);
    String identity = "dummy %s of --seed %d".formatted(type, options.seed());
    return new ModelSource(config, ConfigFiles.generation(path), weights, identity, text);
  }

  private static ElementType dummyType(@Nullable String name) {
    if (name == null) {
      return ElementType.BF16;
    }
    return Arrays.stream(ElementType.values())
        .filter(type -> type.name().equalsIgnoreCase(name))
        .findFirst()
        .orElseThrow(
            () ->
                new IllegalArgumentException(
                    "--quantization is %s; dummy weights can be %s"
                        .formatted(
                            name,
                            Arrays.stream(ElementType.values())
                                .map(type -> type.name().toLowerCase(Locale.ROOT))
                                .collect(Collectors.joining(", ")))));
  }

  private static CompletableFuture<ModelText> load(Supplier<ModelText> loading, OpenedParts parts) {
    CompletableFuture<ModelText> text =
        CompletableFuture.supplyAsync(
            loading, task -> Thread.ofPlatform().daemon().name("flotilla-text").start(task));
    parts.add(() -> text.handle((loaded, _) -> loaded).thenAccept(ModelSource::close).join());
    return text;
  }

  private static void close(@Nullable ModelText loaded) {
    if (loaded != null) {
      loaded.close();
    }
  }

  /**
   * The text side, once it is loaded.
   *
   * @throws TokenizerException when it cannot be used, or is another model's
   */
  ModelText text() {
    ModelText text;
    try {
      text = pendingText.join();
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
