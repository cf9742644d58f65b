package io.flotilla.executor.wire;

import java.time.Duration;
import java.util.List;

/**
 * A node's connections to the others: node 0 has one to each, the others one to node 0.
 *
 * @param connections in the order of nodes
 */
public record NodeLinks(NodePlace place, List<NodeConnection> connections, FramePool pool)
    implements AutoCloseable {
  /** No other nodes. */
  public static NodeLinks alone() {
    return new NodeLinks(NodePlace.ALONE, List.of(), new FramePool());
  }

  public NodeLinks {
    connections = List.copyOf(connections);
  }

  /**
   * Agrees with the other nodes on numbers: the least of each. All call it; before frames are read.
   *
   * @param patience with the slowest
   * @throws NodeException when another node fails meanwhile
   */
  public long[] minimum(Duration patience, long... mine) {
    long[] least = mine.clone();
    if (place.isMaster()) {
      for (NodeConnection other : connections) {
        receive(other, patience, least);
      }
      connections.forEach(other -> send(other, least));
    } else {
      NodeConnection master = connections.getFirst();
      send(master, least);
      receive(master, patience, least);
    }
    return least;
  }

  private void send(NodeConnection to, long[] numbers) {
    Frame frame = pool.begin(FrameKind.NUMBERS);
    for (long number : numbers) {
      frame.put(number);
    }
    to.sendNow(frame);
    frame.release();
  }

  private static void receive(NodeConnection from, Duration patience, long[] least) {
    Frame frame = from.receive(FrameKind.NUMBERS, patience);
    for (int i = 0; i < least.length; i++) {
      least[i] = Math.min(least[i], frame.getLong());
    }
    frame.release();
  }

  /** Tells all others that this node fails, and why. Any thread. */
  public void fail(Throwable cause) {
    connections.forEach(other -> other.finish(FailureCodec.write(pool, cause)));
  }

  /** Tells all others that this node ends in order. Any thread. */
  public void stop() {
    connections.forEach(other -> other.finish(pool.begin(FrameKind.STOP)));
  }

  /** Why another node failed, as it says itself. */
  public static NodeException failure(Frame frame, NodeConnection from) {
    return FailureCodec.read(frame, from.peer());
  }

  @Override
  public void close() {
    connections.forEach(NodeConnection::close);
  }
}
