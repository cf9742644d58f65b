package io.flotilla.model.layer;

import io.flotilla.kernels.Collectives;

/**
 * A rank's place among the ranks of its pipeline stage, and what joins it to them.
 *
 * @param tensor place among the ranks that split each layer
 * @param layers joins those ranks
 * @param context joins the ranks that have the same part of each layer and share out the rows of a
 *     step
 * @param keys joins ranks that split each layer, have the same key-value head and hold its tokens
 *     between them
 * @param all joins all ranks of the stage, as {@link #place} counts them
 */
public record StageRanks(
    TensorParallel tensor,
    Collectives layers,
    Collectives context,
    Collectives keys,
    Collectives all) {
  /** One rank that holds its stage whole. */
  public static final StageRanks SINGLE = split(TensorParallel.SINGLE, Collectives.ALONE);

  /** Ranks that split each layer, and nothing else. */
  public static StageRanks split(TensorParallel tensor, Collectives layers) {
    return new StageRanks(tensor, layers, Collectives.ALONE, Collectives.ALONE, layers);
  }

  /** The rank's place among all ranks of the stage. */
  public TensorParallel place() {
    return new TensorParallel(
        tensor.rank() * context.size() + context.rank(), tensor.size() * context.size());
  }

  /**
   * This rank's experts of a layer, where ranks have whole ones.
   *
   * @throws IllegalArgumentException when they cannot be shared evenly
   */
  Share experts(int total) {
    TensorParallel place = place();
    requireExperts(total, tensor.size(), context.size());
    int count = total / place.size();
    return new Share(place.rank() * count, count);
  }

  /**
   * Refuses experts that the ranks of a stage cannot share evenly.
   *
   * @throws IllegalArgumentException with the numbers and the flags
   */
  public static void requireExperts(int total, int tensor, int context) {
    if (total % (tensor * context) != 0) {
      String ranks =
          context == 1
              ? "--tensor-parallel-size " + tensor
              : "--tensor-parallel-size %d x --prefill-context-parallel-size %d"
                  .formatted(tensor, context);
      throw new IllegalArgumentException(
          "%s with --enable-expert-parallel does not divide %d experts".formatted(ranks, total));
    }
  }

  /**
   * Whether {@link io.flotilla.kernels.Stream#repeat} may record a pass through the stage's layers:
   * not where ranks share out a step's rows, of which each may have another number at every step.
   */
  public boolean canRepeat() {
    return layers.canRepeat() && keys.canRepeat() && context.size() == 1;
  }

  /** Whether the rank's thread waits for another of the stage now. Readable from any thread. */
  public boolean isWaiting() {
    return layers.isWaiting() || context.isWaiting() || keys.isWaiting() || all.isWaiting();
  }
}
