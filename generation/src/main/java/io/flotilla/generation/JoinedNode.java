package io.flotilla.generation;

import io.flotilla.engine.TokenEvent.FailureCode;
import io.flotilla.executor.LocalExecutor;
import io.flotilla.executor.wire.NodePlace;
import java.util.Objects;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The ranks of a node that has joined another, which plans for them. */
public final class JoinedNode implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(JoinedNode.class);

  private final NodePlace place;
  private final LocalExecutor executor;
  private final OpenedParts parts;

  /**
   * @param parts closed with the node, {@code executor} among them
   */
  JoinedNode(NodePlace place, LocalExecutor executor, OpenedParts parts) {
    this.place = place;
    this.executor = executor;
    this.parts = parts;
  }

  /**
   * Joins node 0 and loads this node's share of the model.
   *
   * @param options with a place that is not node 0's
   * @param progress is told how far the loading is
   * @throws IllegalArgumentException naming the option that cannot be honoured
   * @throws io.flotilla.checkpoint.CheckpointException when the model cannot be had or served
   * @throws io.flotilla.executor.wire.NodeException when node 0 is not there, does not fit, or
   *     fails
   */
  public static JoinedNode join(EngineOptions options, LoadListener progress) {
    return new ModelLoader(options, progress).join();
  }

  /** What this node is, in a line. */
  public String describe() {
    int stages = place.stages(executor.topology().pipeline());
    int first = place.node() * stages;
    return "Joined %s as node %d of %d: stage%s of %d"
        .formatted(
            place.master(),
            place.node(),
            place.nodes(),
            stages == 1 ? " " + first : "s %d to %d".formatted(first, first + stages - 1),
            executor.topology().pipeline());
  }

  /**
   * Waits until node 0 ends.
   *
   * @throws GenerationException with the first cause, when the replica failed
   */
  public void awaitEnd() throws InterruptedException {
    Throwable failure = executor.awaitEnd();
    if (failure != null) {
      LOG.error("The replica failed", failure);
      throw new GenerationException(
          FailureCode.REPLICA_FAILED,
          "the replica failed: "
              + Objects.requireNonNullElseGet(failure.getMessage(), failure::toString));
    }
  }

  @Override
  public void close() {
    parts.close();
  }
}
