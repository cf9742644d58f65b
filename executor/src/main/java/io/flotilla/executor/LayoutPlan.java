package io.flotilla.executor;

import io.flotilla.checkpoint.ModelConfig;
import io.flotilla.checkpoint.WeightSource;
import io.flotilla.executor.StepPlan.Admission;
import io.flotilla.executor.StepPlan.SequenceStep;
import io.flotilla.executor.StepPlan.TokenInput.Known;
import io.flotilla.kernels.Collectives;
import io.flotilla.kernels.Device;
import io.flotilla.model.layer.StageRanks;
import io.flotilla.model.layer.TensorParallel;
import io.flotilla.model.sampling.SamplingParameters;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;
import java.util.stream.IntStream;

/**
 * What a layout takes of memory and moves in a step. Its ranks are the ones that serve, built on
 * devices that have no memory and run through steps there, so that nothing is computed twice.
 *
 * @param ranks the first of each stage, which has most of what does not divide
 */
public record LayoutPlan(Topology topology, Layout layout, List<RankPlan> ranks) {
  public LayoutPlan {
    ranks = List.copyOf(ranks);
  }

  /**
   * A rank.
   *
   * @param decode a step of one token of one sequence
   * @param prefill a step of as many tokens of one prompt as a step may have
   */
  public record RankPlan(MemoryPlan memory, StepCost decode, StepCost prefill) {}

  /**
   * Plans a layout; no weights are read but those of norms and biases.
   *
   * @param like a device of the kind it is to run on
   * @throws IllegalArgumentException naming the flag, when the model does not divide or a KV cache
   *     does not hold one sequence
   */
  public static LayoutPlan of(
      ExecutorOptions options, ModelConfig config, WeightSource weights, Device like) {
    Layout layout = Layout.of(options.topology(), options.pipelineLayers(), config);
    int blocks = layout.kvBlocks(options, config, like);
    List<RankPlan> ranks = new ArrayList<>();
    for (int stage = 0; stage < layout.stages().size(); stage++) {
      ranks.add(rank(options, config, weights, like, layout, stage, blocks));
    }
    return new LayoutPlan(options.topology(), layout, ranks);
  }

  private static RankPlan rank(
      ExecutorOptions options,
      ModelConfig config,
      WeightSource weights,
      Device like,
      Layout layout,
      int stage,
      int kvBlocks) {
    StepWork work = new StepWork();
    PaperRouting routing = new PaperRouting(layout.prefillContext());
    int stages = layout.stages().size();
    RankPlace place =
        new RankPlace(
            layout.stages().get(stage),
            stage,
            stages,
            joined(layout, work),
            new PaperCollectives(stage, stages, work::pass));
    try (Arena arena = Arena.ofConfined();
        Rank rank =
            new Rank(
                options,
                config,
                weights,
                place,
                kvBlocks,
                new PaperDevice(like, work, routing),
                arena)) {
      launch(rank, prompt(0, options, 1), routing);
      StepCost decode = work.take();
      int most = Math.min(options.maxBatchedTokens(), options.maxModelLength());
      launch(rank, prompt(1, options, most), routing);
      return new RankPlan(rank.memory(), decode, work.take());
    }
  }

  /** What the first rank of a stage is joined to. */
  private static StageRanks joined(Layout layout, StepWork work) {
    int tensor = layout.tensor();
    int context = layout.prefillContext();
    Collectives layers = group(tensor, work);
    return new StageRanks(
        new TensorParallel(0, tensor),
        layers,
        group(context, work),
        group(layout.decodeContext(), work),
        context == 1 ? layers : group(tensor * context, work));
  }

  private static Collectives group(int size, StepWork work) {
    return size == 1 ? Collectives.ALONE : new PaperCollectives(0, size, work::reduce);
  }

  private static void launch(Rank rank, StepPlan plan, PaperRouting routing) {
    routing.deal(plan.sequences());
    rank.launch(plan);
  }

  /** A sequence is computed in one step, and yields a token. */
  private static StepPlan prompt(long step, ExecutorOptions options, int tokens) {
    int[] ids = new int[tokens];
    int blocks = Math.ceilDiv(tokens, options.tokensPerBlock());
    SequenceStep sequence =
        new SequenceStep(
            0,
            new Admission(ids, tokens, SamplingParameters.greedy()),
            0,
            new Known(ids),
            IntStream.range(0, blocks).toArray(),
            true);
    return new StepPlan(step, List.of(sequence));
  }

  /** Bytes of weights on the rank that has most. */
  public long largestWeights() {
    return ranks.stream().mapToLong(rank -> rank.memory().weights()).max().orElse(0);
  }

  /** Bytes of weights that a step reads, on the rank that reads most. */
  public long largestRead(Function<RankPlan, StepCost> step) {
    return ranks.stream().map(step).mapToLong(StepCost::weightBytes).max().orElse(0);
  }

  /** Bytes that a rank sends in a step, on the rank that sends most. */
  public long largestSent(Function<RankPlan, StepCost> step) {
    return ranks.stream().map(step).mapToLong(StepCost::sentBytes).max().orElse(0);
  }

  /** Bytes of KV cache of one token on the rank that needs most. */
  public double kvBytesPerToken() {
    MemoryPlan first = ranks.getFirst().memory();
    long block = ranks.stream().mapToLong(rank -> rank.memory().kvBlock()).max().orElse(0);
    return (double) block / first.options().tokensPerBlock();
  }

  /** Tokens that the KV cache holds. */
  public long kvTokens() {
    MemoryPlan first = ranks.getFirst().memory();
    return (long) first.kvBlocks() * first.options().tokensPerBlock();
  }

  /** Bytes of everything but the KV cache on the rank that needs most. */
  public long largestBesidesKvCache() {
    return ranks.stream()
        .mapToLong(rank -> rank.memory().total() - rank.memory().kvCache())
        .max()
        .orElse(0);
  }
}
