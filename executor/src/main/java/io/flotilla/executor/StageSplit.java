package io.flotilla.executor;

import io.flotilla.checkpoint.ExpertConfig;
import io.flotilla.checkpoint.ModelConfig;
import io.flotilla.model.StageSlice;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/**
 * Spreads layers over pipeline stages. The slowest stage sets the pace of all, and decoding reads
 * every weight of a stage once, except the embedding, of which it reads a few rows: so the head
 * counts as the layers that have as many weights, and the embedding as memory alone.
 */
final class StageSplit {
  private final int layers;
  private final double headLayers;

  StageSplit(ModelConfig config) {
    this.layers = config.layers();
    double hidden = config.hiddenSize();
    double attention = 2 * hidden * (config.heads() + config.kvHeads()) * config.headDim();
    ExpertConfig experts = config.experts();
    double width =
        experts == null
            ? config.intermediateSize()
            : (double) experts.count() * experts.intermediateSize();
    double feedForward = 3 * hidden * width;
    this.headLayers = config.vocabularySize() * hidden / (attention + feedForward);
  }

  /**
   * Layers of each stage, such that the slowest stage is as fast as can be; among equals the stages
   * with embedding and head have the fewest.
   *
   * @throws IllegalArgumentException when there are more stages than layers
   */
  List<Integer> balanced(int stages) {
    if (stages > layers) {
      throw new IllegalArgumentException(
          "--pipeline-parallel-size %d is more than the model's %d layers"
              .formatted(stages, layers));
    }
    if (stages == 1) {
      return List.of(layers);
    }
    int others = stages - 1;
    int last = 1;
    for (int tried = 1; tried <= layers - others; tried++) {
      if (slowest(tried, others) < slowest(last, others)) {
        last = tried;
      }
    }
    List<Integer> counts = new ArrayList<>(Collections.nCopies(others, (layers - last) / others));
    int more = (layers - last) % others;
    for (int stage = others - more; stage < others; stage++) {
      counts.set(stage, counts.get(stage) + 1);
    }
    counts.add(last);
    return counts;
  }

  private double slowest(int lastLayers, int others) {
    return Math.max(lastLayers + headLayers, Math.ceilDiv(layers - lastLayers, others));
  }

  /**
   * The layers that were asked for.
   *
   * @throws IllegalArgumentException when they are not the model's, or not one number a stage
   */
  List<Integer> asked(int stages, List<Integer> counts) {
    int sum = counts.stream().mapToInt(Integer::intValue).sum();
    boolean positive = counts.stream().allMatch(count -> count > 0);
    if (counts.size() != stages || sum != layers || !positive) {
      throw new IllegalArgumentException(
          ("--pipeline-layers %s names %d layers in %d stages; the model has %d layers,"
                  + " --pipeline-parallel-size is %d, and no stage may be empty")
              .formatted(counts, sum, counts.size(), layers, stages));
    }
    return counts;
  }

  /** The slice of each stage. */
  List<StageSlice> slices(List<Integer> counts) {
    List<StageSlice> slices = new ArrayList<>();
    int first = 0;
    for (int count : counts) {
      int end = first + count;
      slices.add(new StageSlice(first, end, first == 0, end == layers));
      first = end;
    }
    return slices;
  }
}
