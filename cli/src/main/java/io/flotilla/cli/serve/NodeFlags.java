package io.flotilla.cli.serve;

import io.flotilla.cli.option.UsageException;
import io.flotilla.executor.wire.NodePlace;
import picocli.CommandLine.Option;

/** Which of several hosts this is, and where they meet. Names are vLLM's. */
final class NodeFlags {
  @Option(
      names = "--nnodes",
      paramLabel = "N",
      defaultValue = "1",
      description =
          "Hosts that the pipeline stages are spread over; start the same command on each."
              + " Default: ${DEFAULT-VALUE}.")
  private int nodes = NodePlace.ALONE.nodes();

  @Option(
      names = "--node-rank",
      paramLabel = "N",
      defaultValue = "0",
      description =
          "This host's number; 0 answers requests, the others compute for it."
              + " Default: ${DEFAULT-VALUE}.")
  private int node = NodePlace.ALONE.node();

  @Option(
      names = "--master-addr",
      paramLabel = "ADDRESS",
      defaultValue = "127.0.0.1",
      description =
          "Address of host 0, where the others join it; in a network of trusted hosts alone."
              + " Default: ${DEFAULT-VALUE}.")
  private String masterAddress = NodePlace.ALONE.masterAddress();

  @Option(
      names = "--master-port",
      paramLabel = "N",
      defaultValue = "29501",
      description = "Port of host 0, where the others join it. Default: ${DEFAULT-VALUE}.")
  private int masterPort = NodePlace.ALONE.masterPort();

  /**
   * This host's place.
   *
   * @param pipeline stages
   * @throws UsageException naming the flag that cannot be honoured
   */
  NodePlace toPlace(int pipeline) {
    try {
      NodePlace place = new NodePlace(nodes, node, masterAddress, masterPort);
      place.stages(pipeline);
      return place;
    } catch (IllegalArgumentException e) {
      throw new UsageException(String.valueOf(e.getMessage()));
    }
  }
}
