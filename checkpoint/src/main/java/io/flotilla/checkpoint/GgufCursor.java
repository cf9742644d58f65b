package io.flotilla.checkpoint;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.CharsetDecoder;
import java.nio.charset.StandardCharsets;

/** A position in a GGUF file. Nothing is read beyond the file's end or its metadata's limit. */
final class GgufCursor {
  /** Bytes of metadata and tensor descriptions at most; vocabularies take a few million. */
  private static final long MAX_METADATA = 64L << 20;

  private static final int MAX_TEXT = 16 << 20;
  private static final ValueLayout.OfInt INT =
      JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfLong LONG =
      JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private final String file;
  private final MemorySegment content;
  private final CharsetDecoder decoder = StandardCharsets.UTF_8.newDecoder();
  private long position;

  GgufCursor(String file, MemorySegment content) {
    this.file = file;
    this.content = content;
  }

  long position() {
    return position;
  }

  int readByte() {
    return Byte.toUnsignedInt(content.get(JAVA_BYTE, advance(1)));
  }

  int readInt() {
    return content.get(INT, advance(4));
  }

  long readLong() {
    return content.get(LONG, advance(8));
  }

  /**
   * A number of things that follow.
   *
   * @param bytesEach what each takes at least, so that a count the file cannot hold is refused
   */
  long readCount(String what, int bytesEach) {
    long count = readLong();
    if (count < 0 || count > (content.byteSize() - position) / bytesEach) {
      throw error(
          "claims " + Long.toUnsignedString(count) + " " + what + ", more than the file can hold");
    }
    return count;
  }

  /** A string: a length of eight bytes, then UTF-8. */
  String readText(int maxBytes) {
    long length = readCount("bytes of a string", 1);
    if (length > maxBytes) {
      throw error("has a string of " + length + " bytes; at most " + maxBytes + " are read");
    }
    return text(content.asSlice(advance(length), length));
  }

  String readText() {
    return readText(MAX_TEXT);
  }

  void skipText() {
    advance(readCount("bytes of a string", 1));
  }

  /** The next {@code bytes} bytes, passed over. */
  MemorySegment take(long bytes) {
    return content.asSlice(advance(bytes), bytes);
  }

  /** The bytes from {@code start} to here. */
  MemorySegment since(long start) {
    return content.asSlice(start, position - start);
  }

  private String text(MemorySegment bytes) {
    if (bytes.byteSize() == 0) {
      return "";
    }
    try {
      return decoder.decode(bytes.asByteBuffer()).toString();
    } catch (CharacterCodingException e) {
      throw new CheckpointException(file + " holds a string that is not UTF-8", e);
    }
  }

  private long advance(long bytes) {
    long start = position;
    if (bytes > content.byteSize() - start) {
      throw error("ends within its metadata; download it again");
    }
    if (start + bytes > MAX_METADATA) {
      throw error("has more than " + MAX_METADATA + " bytes of metadata");
    }
    position = start + bytes;
    return start;
  }

  CheckpointException error(String problem) {
    return new CheckpointException(file + " " + problem + " (at byte " + position + ")");
  }
}
