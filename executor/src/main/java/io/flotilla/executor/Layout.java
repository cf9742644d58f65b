package io.flotilla.executor;

import io.flotilla.checkpoint.ModelConfig;
import io.flotilla.kernels.AttentionShape;
import io.flotilla.kernels.Device;
import io.flotilla.model.Architectures;
import io.flotilla.model.StageSlice;
import io.flotilla.model.layer.SelfAttention;
import io.flotilla.model.layer.TensorParallel;
import java.util.ArrayList;
import java.util.List;

/**
 * How the ranks of a replica share a model. The ranks of a stage have neighbouring numbers, and of
 * those the ranks that split a layer.
 *
 * @param stages the layers of each pipeline stage
 * @param tensor ranks each layer is split over
 * @param prefillContext ranks that share out the rows of a step, times that
 * @param decodeContext ranks, of those that split a layer, that hold its tokens between them
 */
public record Layout(List<StageSlice> stages, int tensor, int prefillContext, int decodeContext) {
  public Layout {
    stages = List.copyOf(stages);
  }

  /**
   * The layout of a topology; cheap, to be called before weights are read.
   *
   * @param pipelineLayers layers of each stage; empty to balance them
   * @throws IllegalArgumentException with the numbers and the flag, when the model does not divide
   */
  public static Layout of(Topology topology, List<Integer> pipelineLayers, ModelConfig config) {
    Architectures.requireSupported(config);
    Architectures.requireShareable(
        config,
        new TensorParallel(0, topology.tensor()),
        topology.prefillContext(),
        topology.expertParallel());
    requireSpreadable(topology, config.kvHeads());
    StageSplit split = new StageSplit(config);
    List<Integer> counts =
        pipelineLayers.isEmpty()
            ? split.balanced(topology.pipeline())
            : split.asked(topology.pipeline(), pipelineLayers);
    return new Layout(
        split.slices(counts),
        topology.tensor(),
        topology.prefillContext(),
        topology.decodeContext());
  }

  /** Tokens are spread over ranks that would else hold the same key-value head. */
  private static void requireSpreadable(Topology topology, int kvHeads) {
    int copies = Math.max(1, topology.tensor() / kvHeads);
    if (copies % topology.decodeContext() != 0) {
      throw new IllegalArgumentException(
          ("--decode-context-parallel-size %d does not divide the %d ranks that hold each key-value"
                  + " head: --tensor-parallel-size %d over %d heads")
              .formatted(topology.decodeContext(), copies, topology.tensor(), kvHeads));
    }
  }

  /**
   * Every topology of one replica that divides a model, those of fewer ranks first, and of those
   * the ones of fewer stages. Experts are whole on ranks only where a stage has several.
   *
   * @param ranks at most
   */
  public static List<Topology> dividing(int ranks, ModelConfig config) {
    List<Topology> dividing = new ArrayList<>();
    for (int count = 1; count <= ranks; count++) {
      for (int pipeline = 1; pipeline <= Math.min(count, config.layers()); pipeline++) {
        for (int context = 1; context <= count / pipeline; context++) {
          if (count % (pipeline * context) == 0) {
            addStages(dividing, pipeline, count / (pipeline * context), context, config);
          }
        }
      }
    }
    return dividing;
  }

  private static void addStages(
      List<Topology> found, int pipeline, int tensor, int context, ModelConfig config) {
    for (int tokens = 1; tokens <= tensor; tokens++) {
      addIfDividing(found, new Topology(1, pipeline, tensor, context, tokens, false), config);
      if (tensor * context > 1 && config.experts() != null) {
        addIfDividing(found, new Topology(1, pipeline, tensor, context, tokens, true), config);
      }
    }
  }

  private static void addIfDividing(List<Topology> found, Topology topology, ModelConfig config) {
    try {
      of(topology, List.of(), config);
      found.add(topology);
    } catch (IllegalArgumentException _) {
      // Nothing to plan.
    }
  }

  /** Ranks of the replica. */
  public int ranks() {
    return stages.size() * stageRanks();
  }

  /** Ranks of a stage. */
  public int stageRanks() {
    return tensor * prefillContext;
  }

  int stage(int rank) {
    return rank / stageRanks();
  }

  TensorParallel tensorPlace(int rank) {
    return new TensorParallel(rank % tensor, tensor);
  }

  /** Bytes of a KV block on the ranks of one stage, all their layers together. */
  long kvBlockBytes(int stage, ModelConfig config, Device device, int blockSize) {
    AttentionShape shape = SelfAttention.shape(config, new TensorParallel(0, tensor));
    return Math.multiplyExact(stages.get(stage).layers(), device.kvBlockBytes(shape, blockSize));
  }

  /**
   * Blocks of KV cache of every rank: as many as the rank with the fewest has.
   *
   * @throws IllegalArgumentException when those of a rank do not hold one sequence
   */
  int kvBlocks(ExecutorOptions options, ModelConfig config, Device device) {
    int blocks = Integer.MAX_VALUE;
    for (int stage = 0; stage < stages.size(); stage++) {
      long block = kvBlockBytes(stage, config, device, options.blockSize());
      blocks = Math.min(blocks, MemoryPlan.fittingBlocks(options, block));
    }
    return blocks;
  }

  /** Bytes of a KV block on the ranks that hold most of it. */
  public long largestKvBlockBytes(ModelConfig config, Device device, int blockSize) {
    long largest = 0;
    for (int stage = 0; stage < stages.size(); stage++) {
      largest = Math.max(largest, kvBlockBytes(stage, config, device, blockSize));
    }
    return largest;
  }
}
