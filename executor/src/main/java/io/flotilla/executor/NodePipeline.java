package io.flotilla.executor;

import io.flotilla.executor.wire.Frame;
import io.flotilla.kernels.Buffer;
import io.flotilla.kernels.Collectives;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/**
 * Joins the ranks of all stages that have the same place in their stage, where some stages are on
 * other nodes: messages to those go through host memory and the network, others the way of the
 * devices. A group that only sends and receives, as stages do.
 */
final class NodePipeline implements Collectives {
  private final Collectives here;
  private final int firstHere;
  private final int stage;
  private final @Nullable MessageBox[] boxes;
  private final int place;
  private final int stageRanks;
  private final OtherNodes nodes;

  /**
   * @param here joins those of this node, the first of which is {@code firstHere}
   * @param stage of this rank
   * @param place of the rank in its stage
   */
  NodePipeline(
      Collectives here, int firstHere, int stage, int place, Layout layout, OtherNodes nodes) {
    this.here = here;
    this.firstHere = firstHere;
    this.stage = stage;
    this.place = place;
    this.stageRanks = layout.stageRanks();
    this.nodes = nodes;
    this.boxes = new @Nullable MessageBox[layout.stages().size()];
    for (int sender = 0; sender < boxes.length; sender++) {
      if (!isHere(sender)) {
        boxes[sender] = nodes.box(rank(sender), rank(stage));
      }
    }
  }

  private boolean isHere(int other) {
    return other >= firstHere && other < firstHere + here.size();
  }

  /** The number of a rank of this group, among all of the replica. */
  private int rank(int ofStage) {
    return ofStage * stageRanks + place;
  }

  @Override
  public int rank() {
    return stage;
  }

  @Override
  public int size() {
    return boxes.length;
  }

  @Override
  public void send(Stream stream, Buffer from, int receiver) {
    if (isHere(receiver)) {
      here.send(stream, from, receiver - firstHere);
      return;
    }
    int bytes = Math.toIntExact(from.bytes());
    Frame frame = nodes.message(rank(stage), rank(receiver), bytes);
    stream.download(from, frame.room(bytes));
    stream.synchronize();
    nodes.send(frame, receiver);
  }

  @Override
  public void receive(Stream stream, Buffer to, int sender) {
    MessageBox box = boxes[sender];
    if (box == null) {
      here.receive(stream, to, sender - firstHere);
      return;
    }
    Frame frame = box.await(nodes.abort());
    MemorySegment payload = frame.payload();
    if (payload.byteSize() != to.bytes()) {
      throw new IllegalStateException(
          "a message of %d bytes came where %d were expected"
              .formatted(payload.byteSize(), to.bytes()));
    }
    stream.upload(payload, to);
    stream.synchronize();
    frame.release();
  }

  @Override
  public boolean isWaiting() {
    for (MessageBox box : boxes) {
      if (box != null && box.isWaiting()) {
        return true;
      }
    }
    return here.isWaiting();
  }

  @Override
  public void allReduce(Stream stream, Tensor tensor) {
    throw notJoined();
  }

  @Override
  public void allGather(Stream stream, Buffer mine, Buffer all) {
    throw notJoined();
  }

  @Override
  public boolean canRepeat() {
    return false;
  }

  @Override
  public void gatherColumns(Stream stream, Tensor mine, Tensor all, int first) {
    throw notJoined();
  }

  @Override
  public void reduceScatter(Stream stream, Tensor all, Tensor mine) {
    throw notJoined();
  }

  @Override
  public void allToAll(Stream stream, Buffer from, Buffer to) {
    throw notJoined();
  }

  @Override
  public void allToAll(
      Stream stream, Buffer from, long[] sentBytes, Buffer to, long[] receivedBytes) {
    throw notJoined();
  }

  @Override
  public void broadcast(Stream stream, Buffer buffer, int root) {
    throw notJoined();
  }

  private static UnsupportedOperationException notJoined() {
    return new UnsupportedOperationException("stages on several nodes send and receive alone");
  }
}
