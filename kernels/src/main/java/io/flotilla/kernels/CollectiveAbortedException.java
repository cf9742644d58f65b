package io.flotilla.kernels;

/** A rank stopped waiting for others because its replica had failed: never the first cause. */
public final class CollectiveAbortedException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  public CollectiveAbortedException() {
    super("the replica failed while this rank waited for others");
  }
}
