package io.flotilla.kernels;

/** A group of one rank: its own parts are all there is. */
final class LoneRank implements Collectives {
  @Override
  public int rank() {
    return 0;
  }

  @Override
  public int size() {
    return 1;
  }

  @Override
  public void allReduce(Stream stream, Tensor tensor) {}

  @Override
  public void allGather(Stream stream, Buffer mine, Buffer all) {
    throw alone();
  }

  @Override
  public boolean canRepeat() {
    return true;
  }

  @Override
  public void gatherColumns(Stream stream, Tensor mine, Tensor all, int first) {
    throw alone();
  }

  @Override
  public void reduceScatter(Stream stream, Tensor all, Tensor mine) {
    throw alone();
  }

  @Override
  public void allToAll(Stream stream, Buffer from, Buffer to) {
    throw alone();
  }

  @Override
  public void allToAll(
      Stream stream, Buffer from, long[] sentBytes, Buffer to, long[] receivedBytes) {
    throw alone();
  }

  @Override
  public void broadcast(Stream stream, Buffer buffer, int root) {}

  @Override
  public void send(Stream stream, Buffer from, int receiver) {
    throw alone();
  }

  @Override
  public void receive(Stream stream, Buffer to, int sender) {
    throw alone();
  }

  @Override
  public boolean isWaiting() {
    return false;
  }

  private static UnsupportedOperationException alone() {
    return new UnsupportedOperationException("a rank alone has nobody to exchange memory with");
  }
}
