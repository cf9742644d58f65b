package io.flotilla.model;

import io.flotilla.checkpoint.CheckpointException;
import io.flotilla.checkpoint.ExpertConfig;
import io.flotilla.checkpoint.ModelConfig;
import io.flotilla.model.layer.SelfAttention;
import io.flotilla.model.layer.ShardLoader;
import io.flotilla.model.layer.StageRanks;
import io.flotilla.model.layer.TensorParallel;
import java.util.List;

/** The architectures Flotilla can serve. */
public final class Architectures {
  private static final List<ModelFamily> FAMILIES =
      List.of(new Llama(), new Mixtral(), new Qwen2(), new Qwen3(), new Qwen3Moe());

  private Architectures() {}

  /** The names of the supported architectures, as {@code config.json} calls them. */
  public static List<String> supported() {
    return FAMILIES.stream().map(ModelFamily::architecture).toList();
  }

  /**
   * Refuses an architecture that cannot be served; cheap, to be called before weights are read.
   *
   * @throws CheckpointException naming it and the supported ones
   */
  public static void requireSupported(ModelConfig config) {
    family(config);
  }

  /**
   * Refuses a model whose layers the ranks of a stage cannot share; cheap, to be called before
   * weights are read.
   *
   * @param context ranks that share out the rows of a step
   * @throws IllegalArgumentException with the numbers and the flag
   */
  public static void requireShareable(
      ModelConfig config, TensorParallel parallel, int context, boolean expertParallel) {
    if (expertParallel) {
      ExpertConfig experts = config.experts();
      if (experts == null) {
        throw new IllegalArgumentException(
            "--enable-expert-parallel is for mixtures of experts; %s has none"
                .formatted(config.architecture()));
      }
      StageRanks.requireExperts(experts.count(), parallel.size(), context);
    }
    SelfAttention.shape(config, parallel);
    Decoder.intermediateColumns(config, parallel, expertParallel);
    parallel.vocabulary(config.vocabularySize());
    new TensorParallel(0, parallel.size() * context).vocabulary(config.vocabularySize());
  }

  /**
   * Loads one rank's share of a model.
   *
   * @throws CheckpointException when the architecture is unknown or a tensor missing or misshapen
   * @throws OutOfMemoryError when the device has not the memory
   */
  public static CausalLm load(ModelConfig config, ShardLoader loader, ModelLimits limits) {
    return new Decoder(family(config), config, loader, limits);
  }

  private static ModelFamily family(ModelConfig config) {
    for (ModelFamily family : FAMILIES) {
      if (family.architecture().equals(config.architecture())) {
        return family;
      }
    }
    throw new CheckpointException(
        "the architecture "
            + config.architecture()
            + " is not supported; supported are "
            + String.join(", ", supported()));
  }
}
