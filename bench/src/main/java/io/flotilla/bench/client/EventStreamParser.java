package io.flotilla.bench.client;

import java.nio.ByteBuffer;
import java.util.Arrays;

/**
 * Splits a stream of server-sent events into the data of its events, as bytes arrive (WHATWG HTML,
 * "Server-sent events"). Every byte is copied once, into the line it belongs to.
 */
final class EventStreamParser {
  /** Hears the data of an event: a range of an array that is reused for the next one. */
  @FunctionalInterface
  interface Listener {
    void onData(byte[] bytes, int offset, int length);
  }

  private static final byte[] DATA = {'d', 'a', 't', 'a', ':'};

  private final Listener listener;
  private byte[] line = new byte[512];
  private int lineLength;
  private byte[] data = new byte[512];
  private int dataLength = -1;
  private boolean afterReturn;

  EventStreamParser(Listener listener) {
    this.listener = listener;
  }

  /** Takes the bytes that arrived. */
  void feed(ByteBuffer bytes) {
    while (bytes.hasRemaining()) {
      byte next = bytes.get();
      if (next == '\n' && afterReturn) {
        afterReturn = false;
        continue;
      }
      afterReturn = next == '\r';
      if (next == '\n' || next == '\r') {
        endLine();
      } else {
        if (lineLength == line.length) {
          line = Arrays.copyOf(line, 2 * line.length);
        }
        line[lineLength++] = next;
      }
    }
  }

  private void endLine() {
    if (lineLength == 0) {
      dispatch();
    } else if (lineLength >= DATA.length
        && Arrays.equals(line, 0, DATA.length, DATA, 0, DATA.length)) {
      boolean space = lineLength > DATA.length && line[DATA.length] == ' ';
      append(space ? DATA.length + 1 : DATA.length);
    }
    lineLength = 0;
  }

  private void append(int from) {
    int added = lineLength - from;
    int joint = dataLength < 0 ? 0 : dataLength + 1;
    if (joint + added > data.length) {
      data = Arrays.copyOf(data, Math.max(2 * data.length, joint + added));
    }
    if (joint > 0) {
      data[joint - 1] = '\n';
    }
    System.arraycopy(line, from, data, joint, added);
    dataLength = joint + added;
  }

  private void dispatch() {
    if (dataLength >= 0) {
      int length = dataLength;
      dataLength = -1;
      listener.onData(data, 0, length);
    }
  }
}
