package io.flotilla.executor.wire;

import java.util.List;

/** What a frame carries. */
public enum FrameKind {
  /** Node 0 to another: all nodes are there, and fit. */
  WELCOME(0),
  /** Numbers to agree on. */
  NUMBERS(1),
  /** The ranks of a node are loaded. */
  READY(2),
  /** Node 0 to the others: a step. */
  PLAN(3),
  /** The last node to node 0: what a step yielded. */
  RESULT(4),
  /** From a rank to a rank. */
  MESSAGE(5),
  /** A sign of life. */
  STATUS(6),
  /** The last frame of a node that failed: why. */
  FAILURE(7),
  /** The last frame of a node that ends in order. */
  STOP(8);

  private static final List<FrameKind> KINDS = List.of(values());

  private final int code;

  FrameKind(int code) {
    this.code = code;
  }

  /** Its number on the wire. */
  int code() {
    return code;
  }

  /**
   * The kind of that number.
   *
   * @throws NodeException when there is none
   */
  static FrameKind of(int code) {
    for (FrameKind kind : KINDS) {
      if (kind.code == code) {
        return kind;
      }
    }
    throw new NodeException("a frame of kind " + code + " is none of Flotilla's");
  }

  /** Whether no frame follows. */
  boolean isLast() {
    return this == FAILURE || this == STOP;
  }

  /** Whether it is a part of the replica's work. */
  boolean isWork() {
    return this == PLAN || this == RESULT || this == MESSAGE;
  }
}
