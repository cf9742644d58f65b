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
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Locale;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * A model that was found and opened, nothing of it on a device yet.
 *
 * @param path a folder or a GGUF file
 * @param checkpoint the stored model; null where weights are made up
 */
record ModelSource(
    Path path,
    ModelConfig config,
    GenerationDefaults defaults,
    WeightSource weights,
    @Nullable Checkpoint checkpoint) {

  /** Finds a model, and downloads of it what is needed and not there yet. */
  static Path find(EngineOptions options, LoadListener progress) {
    Hub hub = new Hub(HubSettings.ofEnvironment());
    return isDummy(options)
        ? hub.resolveWithoutWeights(options.model(), progress)
        : hub.resolve(options.model(), progress);
  }

  private static boolean isDummy(EngineOptions options) {
    return options.loadFormat().equals("dummy");
  }

  /**
   * Opens a model that was found.
   *
   * @param parts gets everything that is opened
   */
  static ModelSource open(Path path, EngineOptions options, OpenedParts parts) {
    return isDummy(options)
        ? openDummy(path, dummyType(options.quantization()), options, parts)
        : openStored(path, parts);
  }

  private static ModelSource openStored(Path path, OpenedParts parts) {
    Checkpoint checkpoint = Checkpoint.open(path);
    parts.add(checkpoint::close);
    Architectures.requireSupported(checkpoint.config());
    return new ModelSource(
        path, checkpoint.config(), checkpoint.generation(), checkpoint, checkpoint);
  }

  private static ModelSource openDummy(
      Path path, ElementType type, EngineOptions options, OpenedParts parts) {
    if (!Files.isDirectory(path)) {
      throw new CheckpointException(
          path
              + " is a file, but --load-format dummy makes weights from the config.json of a"
              + " folder; name a folder or leave --load-format out");
    }
    ModelConfig config = ConfigFiles.model(path);
    Architectures.requireSupported(config);
    DummyWeights weights = new DummyWeights(config, type, options.seed());
    parts.add(weights::close);
    return new ModelSource(path, config, ConfigFiles.generation(path), weights, null);
  }

  /** The type of dummy weights that options name, or else the usual one. */
  static ElementType dummyType(@Nullable String name) {
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

  /** Reads the text side: the model's own, or the one that the options name. */
  ModelText readText(EngineOptions options, LoadListener progress) {
    String template = options.chatTemplate();
    if (options.tokenizer() != null) {
      return ModelText.load(options.tokenizer(), template, progress);
    }
    return checkpoint == null
        ? ModelText.ofFolder(path, template)
        : ModelText.of(path, checkpoint, template);
  }
}
