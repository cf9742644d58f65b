package io.flotilla.fleet.remote;

import io.flotilla.executor.wire.FieldWriter;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;

/**
 * Frames that are to be sent together.
 *
 * <pre>
 * offset  bytes  big-endian
 * 0       4      length of what follows, 1 to MAX_FRAME
 * 4       1      type
 * 5       ...    fields
 * </pre>
 */
final class FrameBuffer implements FieldWriter {
  /** The scores of a prompt of a million tokens fit. */
  static final int MAX_FRAME = 256 << 20;

  private static final int HEADER = Integer.BYTES + 1;
  private static final int FIRST_CAPACITY = 1 << 14;
  private static final int MOST_KEPT = 1 << 20;

  private ByteBuffer bytes = ByteBuffer.allocate(FIRST_CAPACITY);
  private int start;

  FrameBuffer begin(int type) {
    start = bytes.position();
    room(HEADER);
    bytes.putInt(0).put((byte) type);
    return this;
  }

  /**
   * Ends the frame.
   *
   * @throws IllegalArgumentException when it is too large; it is taken back then
   */
  void end() {
    int length = bytes.position() - start - Integer.BYTES;
    if (length > MAX_FRAME) {
      bytes.position(start);
      throw new IllegalArgumentException(
          "%d bytes are too many for one message to a replica; %d fit"
              .formatted(length, MAX_FRAME));
    }
    bytes.putInt(start, length);
  }

  FrameBuffer putByte(int value) {
    room(1);
    bytes.put((byte) value);
    return this;
  }

  @Override
  public FrameBuffer put(int value) {
    room(Integer.BYTES);
    bytes.putInt(value);
    return this;
  }

  @Override
  public FrameBuffer put(long value) {
    room(Long.BYTES);
    bytes.putLong(value);
    return this;
  }

  @Override
  public FrameBuffer put(float value) {
    room(Float.BYTES);
    bytes.putFloat(value);
    return this;
  }

  FrameBuffer putDouble(double value) {
    room(Double.BYTES);
    bytes.putDouble(value);
    return this;
  }

  /** In UTF-16, so that a string that is no valid text comes out as it was. */
  FrameBuffer putString(String value) {
    put(value.length());
    room(Character.BYTES * value.length());
    for (int i = 0; i < value.length(); i++) {
      bytes.putChar(value.charAt(i));
    }
    return this;
  }

  @Override
  public FrameBuffer put(int[] values) {
    put(values.length);
    room(Integer.BYTES * values.length);
    bytes.asIntBuffer().put(values);
    bytes.position(bytes.position() + Integer.BYTES * values.length);
    return this;
  }

  @Override
  public FrameBuffer put(float[] values) {
    put(values.length);
    room(Float.BYTES * values.length);
    bytes.asFloatBuffer().put(values);
    bytes.position(bytes.position() + Float.BYTES * values.length);
    return this;
  }

  /** Bytes of all frames. */
  int size() {
    return bytes.position();
  }

  /** Hands all frames over in one write and forgets them. */
  void drainTo(OutputStream out) throws IOException {
    out.write(bytes.array(), 0, bytes.position());
    bytes = bytes.capacity() > MOST_KEPT ? ByteBuffer.allocate(FIRST_CAPACITY) : bytes.clear();
  }

  private void room(int count) {
    if (bytes.remaining() < count) {
      long wanted = Math.max(2L * bytes.capacity(), (long) bytes.position() + count);
      ByteBuffer larger = ByteBuffer.allocate((int) Math.min(wanted, Integer.MAX_VALUE - 8));
      bytes = larger.put(bytes.flip());
    }
  }
}
