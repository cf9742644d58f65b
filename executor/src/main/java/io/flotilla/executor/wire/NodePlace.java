package io.flotilla.executor.wire;

/**
 * One JVM's place among those of a replica, each of which has some of its pipeline stages. Node 0
 * listens and plans; the others join it and compute.
 *
 * @param nodes JVMs of the replica
 * @param node this one, from 0
 * @param masterAddress of node 0
 * @param masterPort of node 0
 */
public record NodePlace(int nodes, int node, String masterAddress, int masterPort) {
  /** The whole replica is in this JVM. */
  public static final NodePlace ALONE = new NodePlace(1, 0, "127.0.0.1", 29501);

  /**
   * @throws IllegalArgumentException naming the flag, when a value cannot be honoured
   */
  public NodePlace {
    if (nodes < 1) {
      throw new IllegalArgumentException("--nnodes is " + nodes + "; it must be at least 1");
    }
    if (node < 0 || node >= nodes) {
      throw new IllegalArgumentException(
          "--node-rank is %d; with --nnodes %d it is from 0 to %d"
              .formatted(node, nodes, nodes - 1));
    }
    if (masterPort < 1 || masterPort > 65_535) {
      throw new IllegalArgumentException(
          "--master-port is " + masterPort + "; it must be from 1 to 65535");
    }
  }

  /** Whether there are no other nodes. */
  public boolean isAlone() {
    return nodes == 1;
  }

  /** Whether this node plans, and answers requests. */
  public boolean isMaster() {
    return node == 0;
  }

  /** Where node 0 is, as text. */
  public String master() {
    String host = masterAddress.contains(":") ? "[" + masterAddress + "]" : masterAddress;
    return host + ":" + masterPort;
  }

  /**
   * Pipeline stages of each node.
   *
   * @throws IllegalArgumentException with the numbers, when they do not divide evenly
   */
  public int stages(int pipeline) {
    if (pipeline % nodes != 0) {
      throw new IllegalArgumentException(
          "--nnodes %d does not divide the %d stages of --pipeline-parallel-size %d: each node has as many stages as the others"
              .formatted(nodes, pipeline, pipeline));
    }
    return pipeline / nodes;
  }
}
