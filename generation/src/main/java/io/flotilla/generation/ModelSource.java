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
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/** A model that was found and opened, nothing of it on a device yet. */
record ModelSource(
    ModelConfig config, GenerationDefaults defaults, WeightSource weights, ModelText text) {

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
    ModelSource source =
        type == null
            ? openStored(path, options, progress, parts)
            : openDummy(path, type, options, progress, parts);
    source.requireTokenizerFits();
    return source;
  }

  private static ModelSource openStored(
      Path path, EngineOptions options, LoadListener progress, OpenedParts parts) {
    Checkpoint checkpoint = Checkpoint.open(path);
    parts.add(checkpoint::close);
    Architectures.requireSupported(checkpoint.config());
    ModelText text =
        options.tokenizer() == null
            ? ModelText.of(path, checkpoint, options.chatTemplate())
            : ModelText.load(options.tokenizer(), options.chatTemplate(), progress);
    parts.add(text::close);
    return new ModelSource(checkpoint.config(), checkpoint.generation(), checkpoint, text);
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
    ModelText text =
        options.tokenizer() == null
            ? ModelText.ofFolder(path, options.chatTemplate())
            : ModelText.load(options.tokenizer(), options.chatTemplate(), progress);
    parts.add(text::close);
    DummyWeights weights = new DummyWeights(config, type, options.seed());
    parts.add(weights::close);
    return new ModelSource(config, ConfigFiles.generation(path), weights, text);
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

  private void requireTokenizerFits() {
    int tokens = text.tokenizer().vocabularySize();
    if (tokens > config.vocabularySize()) {
      throw new TokenizerException(
          "the tokenizer has %d tokens but the model only %d: they do not belong together; name the model's own with --tokenizer"
              .formatted(tokens, config.vocabularySize()));
    }
  }
}
