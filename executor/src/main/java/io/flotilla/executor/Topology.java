package io.flotilla.executor;

/**
 * How a fleet is laid out. A replica has {@code pipeline x tensor x prefillContext} ranks; decode
 * context parallelism reuses the tensor-parallel ranks.
 *
 * @param data copies of the model behind one router
 * @param pipeline stages the layers are spread over
 * @param tensor ranks each layer is split over
 * @param prefillContext ranks a long prompt is split over
 * @param decodeContext ranks the KV cache of a token is interleaved over
 * @param expertParallel experts are spread over ranks, not split
 */
public record Topology(
    int data,
    int pipeline,
    int tensor,
    int prefillContext,
    int decodeContext,
    boolean expertParallel) {
  /** One replica of one rank. */
  public static final Topology SINGLE = new Topology(1, 1, 1, 1, 1, false);

  /**
   * @throws IllegalArgumentException when a degree is not positive
   */
  public Topology {
    if (Math.min(
            Math.min(data, pipeline), Math.min(tensor, Math.min(prefillContext, decodeContext)))
        < 1) {
      throw new IllegalArgumentException("every parallel degree is at least 1");
    }
  }

  /** Ranks of one replica. */
  public int ranksPerReplica() {
    return pipeline * tensor * prefillContext;
  }
}
