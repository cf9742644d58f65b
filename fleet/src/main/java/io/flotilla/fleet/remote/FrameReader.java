package io.flotilla.fleet.remote;

import io.flotilla.executor.wire.FieldReader;
import java.io.BufferedInputStream;
import java.io.DataInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.BufferUnderflowException;
import java.nio.ByteBuffer;
import org.jspecify.annotations.Nullable;

/**
 * Takes frames apart. Whatever is no frame, or has other fields than its type says, is a {@link
 * ProtocolException}; no length is believed before the bytes are there.
 */
final class FrameReader implements FieldReader {
  private static final int STREAM_BUFFER = 1 << 16;
  private static final int CHUNK = 1 << 20;

  /** Makes something of the fields of a frame. */
  interface Decoder<T> {
    T decode(int type, FrameReader fields) throws ProtocolException;
  }

  private final DataInputStream in;
  private byte[] bytes = new byte[STREAM_BUFFER];
  private ByteBuffer frame = ByteBuffer.allocate(0);

  FrameReader(InputStream in) {
    this.in = new DataInputStream(new BufferedInputStream(in, STREAM_BUFFER));
  }

  /**
   * Waits for the next frame.
   *
   * @return null when the stream ends between frames
   * @throws ProtocolException when it ends within one, or the frame cannot be understood
   */
  <T> @Nullable T next(Decoder<T> decoder) throws IOException {
    int first = in.read();
    if (first < 0) {
      return null;
    }
    try {
      int length = first << 24 | in.readUnsignedByte() << 16 | in.readUnsignedShort();
      if (length < 1 || length > FrameBuffer.MAX_FRAME) {
        throw new ProtocolException("a frame of " + Integer.toUnsignedLong(length) + " bytes");
      }
      read(length);
    } catch (EOFException _) {
      throw new ProtocolException("the stream ends within a frame");
    }
    try {
      T value = decoder.decode(frame.get(), this);
      if (frame.hasRemaining()) {
        throw new ProtocolException(frame.remaining() + " bytes too many in a frame");
      }
      return value;
    } catch (UncheckedIOException e) {
      throw e.getCause();
    } catch (BufferUnderflowException _) {
      throw new ProtocolException("a frame has too few bytes");
    } catch (IllegalArgumentException e) {
      throw new ProtocolException("a frame has wrong values: " + e.getMessage());
    }
  }

  private void read(int length) throws IOException {
    if (bytes.length > CHUNK) {
      bytes = new byte[STREAM_BUFFER];
    }
    for (int have = 0; have < length; ) {
      int end = Math.min(length, have + CHUNK);
      if (bytes.length < end) {
        byte[] larger = new byte[Math.min(length, Math.max(end, 2 * bytes.length))];
        System.arraycopy(bytes, 0, larger, 0, have);
        bytes = larger;
      }
      in.readFully(bytes, have, end - have);
      have = end;
    }
    frame = ByteBuffer.wrap(bytes, 0, length);
  }

  /** Bytes of memory it holds. */
  int capacity() {
    return bytes.length;
  }

  int getByte() {
    return frame.get();
  }

  @Override
  public int getInt() {
    return frame.getInt();
  }

  @Override
  public long getLong() {
    return frame.getLong();
  }

  @Override
  public float getFloat() {
    return frame.getFloat();
  }

  double getDouble() {
    return frame.getDouble();
  }

  String getString() {
    char[] text = new char[getCount(Character.BYTES)];
    for (int i = 0; i < text.length; i++) {
      text[i] = frame.getChar();
    }
    return new String(text);
  }

  @Override
  public int[] getInts() {
    int[] values = new int[getCount(Integer.BYTES)];
    frame.asIntBuffer().get(values);
    frame.position(frame.position() + Integer.BYTES * values.length);
    return values;
  }

  @Override
  public float[] getFloats() {
    float[] values = new float[getCount(Float.BYTES)];
    frame.asFloatBuffer().get(values);
    frame.position(frame.position() + Float.BYTES * values.length);
    return values;
  }

  @Override
  public int getCount(int bytes) {
    int count = frame.getInt();
    if (count < 0 || count > frame.remaining() / bytes) {
      throw new UncheckedIOException(
          new ProtocolException("a frame has no room for its " + count + " elements"));
    }
    return count;
  }
}
