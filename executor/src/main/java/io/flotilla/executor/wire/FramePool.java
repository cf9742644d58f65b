package io.flotilla.executor.wire;

import java.util.ArrayList;
import java.util.List;

/**
 * Frames that nobody uses now. As many are made as are ever in use together, so that steps allocate
 * none once there are enough. Thread-safe.
 */
public final class FramePool {
  private static final int LEAST_BYTES = 4096;

  private final List<Frame> free = new ArrayList<>();

  public FramePool() {}

  /**
   * A frame to be written.
   *
   * @param bytes of payload it will have, as far as known
   */
  public Frame begin(FrameKind kind, int from, int to, int bytes) {
    return take(bytes).begin(kind, from, to);
  }

  /** A frame to be written that concerns no rank. */
  public Frame begin(FrameKind kind) {
    return begin(kind, 0, 0, 0);
  }

  /** The smallest that has room, so that large ones are left for what needs them. */
  synchronized Frame take(int bytes) {
    int best = -1;
    for (int i = 0; i < free.size(); i++) {
      int capacity = free.get(i).capacity();
      if (capacity >= bytes && (best < 0 || capacity < free.get(best).capacity())) {
        best = i;
      }
    }
    if (best >= 0) {
      Frame last = free.removeLast();
      return best == free.size() ? last : free.set(best, last);
    }
    int rounded = Math.max(LEAST_BYTES, Integer.highestOneBit(Math.max(1, bytes - 1)) << 1);
    return new Frame(this, Math.max(bytes, rounded));
  }

  synchronized void give(Frame frame) {
    free.add(frame);
  }
}
