package io.flotilla.executor;

import io.flotilla.kernels.AbortSignal;
import io.flotilla.kernels.Collectives;
import io.flotilla.kernels.Device;
import io.flotilla.kernels.Interconnect;
import io.flotilla.model.layer.StageRanks;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.IntUnaryOperator;

/**
 * Joins the ranks of a stage. A rank's number is {@code context * tensor + split}: those that split
 * the same layers are neighbours.
 */
final class StageGroups {
  /** Rows of logits and the like that a rank of a stage may send ahead. */
  private static final int MESSAGES = 4;

  private final Layout layout;
  private final List<Device> members;
  private final Interconnect interconnect;
  private final AbortSignal abort;

  /**
   * @param members the stage's devices, by the numbers of ranks
   */
  StageGroups(Layout layout, List<Device> members, Interconnect interconnect, AbortSignal abort) {
    this.layout = layout;
    this.members = members;
    this.interconnect = interconnect;
    this.abort = abort;
  }

  /** What each rank is joined to, by the numbers of ranks. */
  List<StageRanks> ranks() {
    int tensor = layout.tensor();
    int context = layout.prefillContext();
    int tokens = layout.decodeContext();
    List<Collectives> layers = join(tensor, rank -> rank / tensor);
    List<Collectives> contexts = join(context, rank -> rank % tensor);
    List<Collectives> keys = join(tokens, rank -> rank / tokens);
    List<Collectives> all = context == 1 ? layers : joinAll(tensor, context);
    List<StageRanks> ranks = new ArrayList<>();
    for (int rank = 0; rank < members.size(); rank++) {
      ranks.add(
          new StageRanks(
              layout.tensorPlace(rank),
              layers.get(rank),
              contexts.get(rank),
              keys.get(rank),
              all.get(rank)));
    }
    return ranks;
  }

  /**
   * Joins the ranks of the same group, in the order of their numbers.
   *
   * @param size of each group
   */
  private List<Collectives> join(int size, IntUnaryOperator group) {
    Collectives[] sides = new Collectives[members.size()];
    Arrays.fill(sides, Collectives.ALONE);
    for (int number = 0; size > 1 && number < members.size() / size; number++) {
      List<Integer> ranks = new ArrayList<>();
      for (int rank = 0; rank < sides.length; rank++) {
        if (group.applyAsInt(rank) == number) {
          ranks.add(rank);
        }
      }
      connect(ranks, sides);
    }
    return List.of(sides);
  }

  /** Joins all, those that have the same part of each layer next to each other. */
  private List<Collectives> joinAll(int tensor, int context) {
    Collectives[] sides = new Collectives[members.size()];
    List<Integer> ranks = new ArrayList<>();
    for (int split = 0; split < tensor; split++) {
      for (int place = 0; place < context; place++) {
        ranks.add(place * tensor + split);
      }
    }
    connect(ranks, sides);
    return List.of(sides);
  }

  private void connect(List<Integer> ranks, Collectives[] sides) {
    List<Device> devices = ranks.stream().map(members::get).toList();
    List<Collectives> joined = interconnect.connect(devices, MESSAGES, abort);
    for (int i = 0; i < joined.size(); i++) {
      sides[ranks.get(i)] = joined.get(i);
    }
  }
}
