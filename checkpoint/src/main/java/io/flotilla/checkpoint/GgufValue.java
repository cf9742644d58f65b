package io.flotilla.checkpoint;

import java.lang.foreign.MemorySegment;

/** A metadata value of a GGUF file. Arrays stay in the file until they are asked for. */
sealed interface GgufValue {
  /** Any integer type; unsigned ones of 64 bits wrap. */
  record Whole(long value) implements GgufValue {}

  /** A float of 32 or 64 bits. */
  record Real(double value) implements GgufValue {}

  record Flag(boolean value) implements GgufValue {}

  record Text(String value) implements GgufValue {}

  /**
   * @param content the elements as they lie in the file, already checked for their lengths
   */
  record Array(ElementKind kind, long count, MemorySegment content) implements GgufValue {}

  /** The value types of the format, in the order of their numbers. */
  enum ElementKind {
    UINT8(1),
    INT8(1),
    UINT16(2),
    INT16(2),
    UINT32(4),
    INT32(4),
    FLOAT32(4),
    BOOL(1),
    STRING(0),
    ARRAY(0),
    UINT64(8),
    INT64(8),
    FLOAT64(8);

    /** Bytes of a value, or 0 where they vary. */
    final int bytes;

    ElementKind(int bytes) {
      this.bytes = bytes;
    }
  }
}
