package io.flotilla.executor.wire;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.BufferUnderflowException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/**
 * What goes over a connection at once, in memory that is used again for later frames. Written or
 * read front to back, little-endian, by one thread at a time.
 *
 * <pre>
 * 0       4       8          12         16
 * | bytes | kind  | from     | to       | payload of so many bytes ...
 * </pre>
 */
public final class Frame implements FieldWriter, FieldReader {
  static final int HEADER = 16;
  private static final int MOST_PAYLOAD = 1 << 30;
  private static final int ALIGNMENT = 64;

  private final FramePool pool;
  private MemorySegment memory;
  private ByteBuffer buffer;

  Frame(FramePool pool, int bytes) {
    this.pool = pool;
    this.memory = Arena.ofAuto().allocate(HEADER + (long) bytes, ALIGNMENT);
    this.buffer = memory.asByteBuffer().order(ByteOrder.LITTLE_ENDIAN);
  }

  /** Bytes of payload it can have without growing. */
  int capacity() {
    return buffer.capacity() - HEADER;
  }

  /** Empties it, to be written. */
  Frame begin(FrameKind kind, int from, int to) {
    buffer.clear();
    buffer.putInt(0).putInt(kind.code()).putInt(from).putInt(to);
    return this;
  }

  /** The whole frame as it goes over the wire, once it is written. */
  ByteBuffer toWire() {
    buffer.putInt(0, buffer.position() - HEADER);
    return buffer.flip();
  }

  /**
   * Takes over a header.
   *
   * @return where the rest is to be read into
   * @throws NodeException when it is none
   */
  ByteBuffer fromWire(ByteBuffer header) {
    buffer.clear();
    buffer.put(header);
    kind();
    return buffer.limit(HEADER + length(header));
  }

  /** Bytes of payload that a header announces. */
  static int length(ByteBuffer header) {
    int length = header.getInt(0);
    if (length < 0 || length > MOST_PAYLOAD) {
      throw new NodeException("a frame of " + length + " bytes is none of Flotilla's");
    }
    return length;
  }

  /** Makes what was read or written readable from the front. */
  Frame rewind() {
    buffer.position(HEADER);
    return this;
  }

  /** Makes a frame that was read one that can be sent on as it is. */
  public Frame forward() {
    buffer.position(buffer.limit());
    return this;
  }

  public FrameKind kind() {
    return FrameKind.of(buffer.getInt(4));
  }

  /** The rank that sent a message. */
  public int from() {
    return buffer.getInt(8);
  }

  /** The rank that a message is for. */
  public int to() {
    return buffer.getInt(12);
  }

  /** The payload that was read, whole. */
  public MemorySegment payload() {
    return memory.asSlice(HEADER, (long) buffer.limit() - HEADER);
  }

  /** Room for a payload of so many bytes, which is all of it. */
  public MemorySegment room(int bytes) {
    reserve(bytes);
    buffer.position(HEADER + bytes);
    return memory.asSlice(HEADER, bytes);
  }

  /** Bytes that were not read yet. */
  public int remaining() {
    return buffer.remaining();
  }

  public Frame put(byte value) {
    reserve(Byte.BYTES);
    buffer.put(value);
    return this;
  }

  public Frame put(boolean value) {
    return put((byte) (value ? 1 : 0));
  }

  @Override
  public Frame put(int value) {
    reserve(Integer.BYTES);
    buffer.putInt(value);
    return this;
  }

  @Override
  public Frame put(long value) {
    reserve(Long.BYTES);
    buffer.putLong(value);
    return this;
  }

  @Override
  public Frame put(float value) {
    return put(Float.floatToRawIntBits(value));
  }

  @Override
  public Frame put(int[] values) {
    put(values.length);
    reserve(values.length * (long) Integer.BYTES);
    for (int value : values) {
      buffer.putInt(value);
    }
    return this;
  }

  @Override
  public Frame put(float[] values) {
    put(values.length);
    reserve(values.length * (long) Float.BYTES);
    for (float value : values) {
      buffer.putFloat(value);
    }
    return this;
  }

  public Frame put(String text) {
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    put(bytes.length);
    reserve(bytes.length);
    buffer.put(bytes);
    return this;
  }

  public byte getByte() {
    requireLeft(Byte.BYTES);
    return buffer.get();
  }

  public boolean getBoolean() {
    return getByte() != 0;
  }

  @Override
  public int getInt() {
    requireLeft(Integer.BYTES);
    return buffer.getInt();
  }

  @Override
  public long getLong() {
    requireLeft(Long.BYTES);
    return buffer.getLong();
  }

  @Override
  public float getFloat() {
    return Float.intBitsToFloat(getInt());
  }

  @Override
  public int[] getInts() {
    int[] values = new int[getCount(Integer.BYTES)];
    for (int i = 0; i < values.length; i++) {
      values[i] = buffer.getInt();
    }
    return values;
  }

  @Override
  public float[] getFloats() {
    float[] values = new float[getCount(Float.BYTES)];
    for (int i = 0; i < values.length; i++) {
      values[i] = buffer.getFloat();
    }
    return values;
  }

  public String getText() {
    byte[] bytes = new byte[getCount(1)];
    buffer.get(bytes);
    return new String(bytes, StandardCharsets.UTF_8);
  }

  /**
   * {@inheritDoc}
   *
   * @throws NodeException when there is no room for as many
   */
  @Override
  public int getCount(int bytes) {
    int count = getInt();
    if (count < 0) {
      throw new NodeException("a frame says that " + count + " things follow");
    }
    requireLeft((long) count * bytes);
    return count;
  }

  private void requireLeft(long bytes) {
    if (bytes > buffer.remaining()) {
      throw new NodeException(
          "a frame ends %d bytes too early".formatted(bytes - buffer.remaining()),
          new BufferUnderflowException());
    }
  }

  private void reserve(long bytes) {
    long needed = buffer.position() + bytes;
    if (needed <= buffer.capacity()) {
      return;
    }
    if (needed > MOST_PAYLOAD) {
      throw new NodeException("a frame of " + needed + " bytes is too large");
    }
    long grown = Math.max(needed, Math.min(2L * buffer.capacity(), MOST_PAYLOAD));
    MemorySegment larger = Arena.ofAuto().allocate(grown, ALIGNMENT);
    MemorySegment.copy(memory, 0, larger, 0, buffer.position());
    int position = buffer.position();
    memory = larger;
    buffer = larger.asByteBuffer().order(ByteOrder.LITTLE_ENDIAN).position(position);
  }

  /** Gives the memory back for other frames; nothing of it may be used afterwards. */
  public void release() {
    pool.give(this);
  }
}
