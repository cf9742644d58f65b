package io.flotilla.generation;

import io.flotilla.executor.wire.NodePlace;
import java.util.List;

/**
 * Where the ranks of a replica run and what they hold.
 *
 * @param pipelineLayers layers of each pipeline stage; empty to balance them
 * @param coresPerRank CPU cores of each rank, or 0 to share all out evenly
 * @param oversubscribe whether there may be more ranks than cores
 * @param deviceIds the GPU of each rank, stage by stage; empty for GPU 0, 1 ...
 * @param node this process's place among those that have the replica's stages
 */
public record Placement(
    List<Integer> pipelineLayers,
    int coresPerRank,
    boolean oversubscribe,
    List<Integer> deviceIds,
    NodePlace node) {
  /** Everything balanced, no core shared. */
  public static final Placement DEFAULT =
      new Placement(List.of(), 0, false, List.of(), NodePlace.ALONE);

  public Placement {
    pipelineLayers = List.copyOf(pipelineLayers);
    deviceIds = List.copyOf(deviceIds);
  }

  /** The same among the processes of several nodes. */
  public Placement on(NodePlace place) {
    return new Placement(pipelineLayers, coresPerRank, oversubscribe, deviceIds, place);
  }
}
