package io.flotilla.executor.wire;

import java.util.Objects;

/** Carries the cause of a failure to other nodes: what it says, and where it was thrown. */
final class FailureCodec {
  private static final int MOST_ELEMENTS = 64;
  private static final int LEAST_ELEMENT_BYTES = 16;

  private FailureCodec() {}

  static Frame write(FramePool pool, Throwable cause) {
    String message = Objects.requireNonNullElseGet(cause.getMessage(), cause::toString);
    Frame frame = pool.begin(FrameKind.FAILURE).put(message);
    StackTraceElement[] elements = cause.getStackTrace();
    int count = Math.min(elements.length, MOST_ELEMENTS);
    frame.put(count);
    for (int i = 0; i < count; i++) {
      String file = elements[i].getFileName();
      frame
          .put(elements[i].getClassName())
          .put(elements[i].getMethodName())
          .put(file == null ? "" : file)
          .put(elements[i].getLineNumber());
    }
    return frame;
  }

  /**
   * The cause, with the stack trace of where it was thrown.
   *
   * @param peer the node that failed
   */
  static NodeException read(Frame frame, String peer) {
    NodeException cause = new NodeException(peer + " failed: " + frame.getText());
    StackTraceElement[] elements = new StackTraceElement[frame.getCount(LEAST_ELEMENT_BYTES)];
    for (int i = 0; i < elements.length; i++) {
      elements[i] =
          new StackTraceElement(frame.getText(), frame.getText(), frame.getText(), frame.getInt());
    }
    cause.setStackTrace(elements);
    frame.release();
    return cause;
  }
}
