package io.flotilla.generation;

import io.flotilla.checkpoint.ModelConfig;
import io.flotilla.executor.LayoutPlan;
import io.flotilla.executor.LayoutPlan.RankPlan;
import io.flotilla.executor.StepCost;
import io.flotilla.executor.Topology;
import io.flotilla.generation.Machine.Speed;
import java.util.Comparator;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * The layouts that divide a model on a machine.
 *
 * @param layouts those of fewer ranks first
 */
public record ModelPlan(ModelConfig config, Machine machine, List<PlannedLayout> layouts) {
  /** Floors this close are equal. */
  private static final double CLOSE = 1.02;

  public ModelPlan {
    layouts = List.copyOf(layouts);
  }

  /**
   * A layout.
   *
   * @param plan null where it does not fit
   * @param obstacle why it does not fit, or null
   * @param decodeFloor seconds that a token of one sequence takes at least, at a short context; 0
   *     where speeds are not known
   * @param prefillFloor seconds that the slowest stage takes for a full step of one prompt at least
   */
  public record PlannedLayout(
      Topology topology,
      @Nullable LayoutPlan plan,
      @Nullable String obstacle,
      double decodeFloor,
      double prefillFloor) {
    static PlannedLayout of(LayoutPlan plan, Speed speed) {
      double decode = 0;
      double prefill = 0;
      if (speed.isKnown()) {
        for (RankPlan rank : plan.ranks()) {
          decode += seconds(rank.decode(), speed);
          prefill = Math.max(prefill, seconds(rank.prefill(), speed));
        }
      }
      return new PlannedLayout(plan.topology(), plan, null, decode, prefill);
    }

    static PlannedLayout unfitting(Topology topology, String obstacle) {
      return new PlannedLayout(topology, null, obstacle, 0, 0);
    }

    private static double seconds(StepCost cost, Speed speed) {
      double products =
          Math.max(
              cost.weightBytes() / speed.readBytes(), cost.multiplyAdds() / speed.multiplyAdds());
      return products + cost.sentBytes() / speed.linkBytes();
    }

    /** Sequences of the greatest length that the KV cache holds. */
    public double sequences() {
      LayoutPlan fitting = Objects.requireNonNull(plan);
      return (double) fitting.kvTokens()
          / fitting.ranks().getFirst().memory().options().maxModelLength();
    }
  }

  /**
   * Plans for a model: a folder or file with or without weights, or a Hugging Face id, of which
   * only the configuration is fetched.
   *
   * @param given of the machine; where there is none, this one with the device that the options
   *     name
   * @throws IllegalArgumentException naming the option that cannot be honoured
   * @throws io.flotilla.checkpoint.CheckpointException when the model cannot be had or served
   */
  public static ModelPlan of(
      EngineOptions options, @Nullable Machine given, LoadListener progress) {
    return new LayoutPlanner(options, progress).plan(given);
  }

  /**
   * The layout with the lowest floor of a token; of those that are close, the one with the fewest
   * ranks, and then the one that holds most tokens. Of two that share out experts otherwise, only
   * the one that {@link #sharesExpertsBetter} can be it.
   */
  public Optional<PlannedLayout> recommended() {
    List<PlannedLayout> fitting =
        layouts.stream()
            .filter(each -> each.plan() != null)
            .filter(each -> twin(each).isEmpty() || sharesExpertsBetter(each))
            .toList();
    double least = fitting.stream().mapToDouble(PlannedLayout::decodeFloor).min().orElse(0);
    return fitting.stream()
        .filter(each -> each.decodeFloor() <= CLOSE * least)
        .min(
            Comparator.<PlannedLayout>comparingInt(each -> each.topology().ranksPerReplica())
                .thenComparingLong(each -> -Objects.requireNonNull(each.plan()).kvTokens()));
  }

  /**
   * Whether a layout shares out experts, whole or a part of each, better than the other way on the
   * same ranks: in a decode step the bytes of weights that its busiest rank reads and {@link
   * Speed#readsPerSent} times the bytes that it sends are fewer together. Where they are the same,
   * experts are split. False where the other way does not fit or there is none.
   */
  public boolean sharesExpertsBetter(PlannedLayout layout) {
    Optional<PlannedLayout> other = twin(layout);
    if (layout.plan() == null || other.isEmpty()) {
      return false;
    }
    int order = Double.compare(decodeBytes(layout), decodeBytes(other.get()));
    return order < 0 || (order == 0 && !layout.topology().expertParallel());
  }

  /** The layout that fits and differs in nothing but how experts are shared out. */
  private Optional<PlannedLayout> twin(PlannedLayout layout) {
    Topology one = layout.topology();
    Topology other =
        new Topology(
            one.data(),
            one.pipeline(),
            one.tensor(),
            one.prefillContext(),
            one.decodeContext(),
            !one.expertParallel());
    return layouts.stream()
        .filter(each -> each.plan() != null && each.topology().equals(other))
        .findFirst();
  }

  private double decodeBytes(PlannedLayout layout) {
    LayoutPlan fitting = Objects.requireNonNull(layout.plan());
    return fitting.largestRead(RankPlan::decode)
        + machine.speed().readsPerSent() * fitting.largestSent(RankPlan::decode);
  }
}
