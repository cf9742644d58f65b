package io.flotilla.executor;

import io.flotilla.kernels.Buffer;
import io.flotilla.kernels.Collectives;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import java.util.Arrays;
import java.util.function.DoubleConsumer;

/** One rank of a group that does not exist: counts the bytes it would send. */
record PaperCollectives(int rank, int size, DoubleConsumer sent) implements Collectives {
  @Override
  public void allReduce(Stream stream, Tensor tensor) {
    sent.accept(2 * others() * tensor.rows() * tensor.rowBytes());
  }

  @Override
  public void allGather(Stream stream, Buffer mine, Buffer all) {
    sent.accept((double) (size - 1) * mine.bytes());
  }

  @Override
  public boolean canRepeat() {
    return true;
  }

  @Override
  public void gatherColumns(Stream stream, Tensor mine, Tensor all, int first) {
    sent.accept((double) (size - 1) * mine.rows() * mine.rowBytes());
  }

  @Override
  public void reduceScatter(Stream stream, Tensor all, Tensor mine) {
    sent.accept(others() * all.rows() * all.rowBytes());
  }

  @Override
  public void allToAll(Stream stream, Buffer from, Buffer to) {
    sent.accept(others() * from.bytes());
  }

  @Override
  public void allToAll(
      Stream stream, Buffer from, long[] sentBytes, Buffer to, long[] receivedBytes) {
    sent.accept((double) (Arrays.stream(sentBytes).sum() - sentBytes[rank]));
  }

  @Override
  public void broadcast(Stream stream, Buffer buffer, int root) {
    sent.accept(others() * buffer.bytes());
  }

  @Override
  public void send(Stream stream, Buffer from, int receiver) {
    sent.accept((double) from.bytes());
  }

  @Override
  public void receive(Stream stream, Buffer to, int sender) {}

  @Override
  public boolean isWaiting() {
    return false;
  }

  /** The part of all ranks that are others. */
  private double others() {
    return (double) (size - 1) / size;
  }
}
