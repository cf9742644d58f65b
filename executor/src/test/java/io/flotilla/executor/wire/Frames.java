package io.flotilla.executor.wire;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** Frames as if they had gone over a connection. */
public final class Frames {
  private Frames() {}

  /** What a written frame is where it is read. */
  public static Frame delivered(Frame written) {
    return delivered(bytes(written));
  }

  /** A written frame as it goes over the wire. */
  public static byte[] bytes(Frame written) {
    ByteBuffer wire = written.toWire();
    byte[] bytes = new byte[wire.remaining()];
    wire.get(bytes);
    return bytes;
  }

  /** A frame of these bytes, of which the header says how many follow. */
  public static Frame delivered(byte[] bytes) {
    ByteBuffer wire = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    wire.putInt(0, bytes.length - Frame.HEADER);
    Frame frame = new FramePool().take(bytes.length);
    ByteBuffer header = wire.slice(0, Frame.HEADER).order(ByteOrder.LITTLE_ENDIAN);
    frame.fromWire(header).put(wire.position(Frame.HEADER));
    return frame.rewind();
  }
}
