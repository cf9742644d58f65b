package io.flotilla.checkpoint;

import io.flotilla.checkpoint.GgufValue.ElementKind;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** The key-value pairs of a GGUF file. Every error names the file and the key. */
final class GgufMetadata {
  private static final int MAX_PAIRS = 1 << 16;
  private static final int MAX_KEY = 1 << 16;
  private static final int MAX_DEPTH = 8;
  private static final int MAX_ELEMENTS = 1 << 21;

  private final String file;
  private final Map<String, GgufValue> pairs = new HashMap<>();

  private GgufMetadata(String file) {
    this.file = file;
  }

  /** Reads {@code count} pairs from the cursor. */
  static GgufMetadata read(String file, GgufCursor cursor, long count) {
    if (count > MAX_PAIRS) {
      throw cursor.error("claims " + count + " metadata pairs; at most " + MAX_PAIRS + " are read");
    }
    GgufMetadata metadata = new GgufMetadata(file);
    for (long i = 0; i < count; i++) {
      String key = cursor.readText(MAX_KEY);
      if (metadata.pairs.put(key, readValue(cursor, readKind(cursor), 0)) != null) {
        throw metadata.error(key, "appears twice");
      }
    }
    return metadata;
  }

  private static ElementKind readKind(GgufCursor cursor) {
    int kind = cursor.readInt();
    ElementKind[] kinds = ElementKind.values();
    if (kind < 0 || kind >= kinds.length) {
      throw cursor.error("has a metadata value of the unknown type " + kind);
    }
    return kinds[kind];
  }

  private static GgufValue readValue(GgufCursor cursor, ElementKind kind, int depth) {
    return switch (kind) {
      case UINT8 -> new GgufValue.Whole(cursor.readByte());
      case INT8 -> new GgufValue.Whole((byte) cursor.readByte());
      case UINT16 -> new GgufValue.Whole(cursor.readByte() | cursor.readByte() << 8);
      case INT16 -> new GgufValue.Whole((short) (cursor.readByte() | cursor.readByte() << 8));
      case UINT32 -> new GgufValue.Whole(Integer.toUnsignedLong(cursor.readInt()));
      case INT32 -> new GgufValue.Whole(cursor.readInt());
      case UINT64, INT64 -> new GgufValue.Whole(cursor.readLong());
      case FLOAT32 -> new GgufValue.Real(Float.intBitsToFloat(cursor.readInt()));
      case FLOAT64 -> new GgufValue.Real(Double.longBitsToDouble(cursor.readLong()));
      case BOOL -> new GgufValue.Flag(readFlag(cursor));
      case STRING -> new GgufValue.Text(cursor.readText());
      case ARRAY -> readArray(cursor, depth + 1);
    };
  }

  private static boolean readFlag(GgufCursor cursor) {
    int value = cursor.readByte();
    if (value > 1) {
      throw cursor.error("has a boolean of value " + value);
    }
    return value == 1;
  }

  private static GgufValue.Array readArray(GgufCursor cursor, int depth) {
    if (depth > MAX_DEPTH) {
      throw cursor.error("nests arrays deeper than " + MAX_DEPTH);
    }
    ElementKind kind = readKind(cursor);
    long count = cursor.readCount("array elements", Math.max(1, kind.bytes));
    long start = cursor.position();
    if (kind.bytes > 0) {
      return new GgufValue.Array(kind, count, cursor.take(count * kind.bytes));
    }
    for (long i = 0; i < count; i++) {
      if (kind == ElementKind.STRING) {
        cursor.skipText();
      } else {
        readArray(cursor, depth + 1);
      }
    }
    return new GgufValue.Array(kind, count, cursor.since(start));
  }

  boolean has(String key) {
    return pairs.containsKey(key);
  }

  @Nullable String text(String key) {
    return switch (pairs.get(key)) {
      case null -> null;
      case GgufValue.Text(String value) -> value;
      default -> throw error(key, "is not a string");
    };
  }

  boolean flag(String key, boolean absent) {
    return switch (pairs.get(key)) {
      case null -> absent;
      case GgufValue.Flag(boolean value) -> value;
      default -> throw error(key, "is not a boolean");
    };
  }

  /** A finite number, or null where the key is absent. */
  @Nullable Double number(String key) {
    return switch (pairs.get(key)) {
      case null -> null;
      case GgufValue.Whole(long value) -> (double) value;
      case GgufValue.Real(double value) when Double.isFinite(value) -> Double.valueOf(value);
      default -> throw error(key, "is not a finite number");
    };
  }

  /** A number above 0, or the default where the key is absent. */
  double positiveNumber(String key, double absent) {
    Double number = number(key);
    if (number == null) {
      return absent;
    }
    if (number <= 0) {
      throw error(key, "is " + number + ", not a positive number");
    }
    return number;
  }

  /** An integer from 1 to {@code max}. */
  int positive(String key, int max) {
    if (!has(key)) {
      throw error(key, "is missing");
    }
    return whole(key, 1, max, 1);
  }

  /** An integer from {@code min} to {@code max}, or the default where the key is absent. */
  int whole(String key, int min, int max, int absent) {
    return switch (pairs.get(key)) {
      case null -> absent;
      case GgufValue.Whole(long value) when value >= min && value <= max -> (int) value;
      case GgufValue.Whole(long value) ->
          throw error(key, "is " + value + ", not within " + min + " to " + max);
      default -> throw error(key, "is not an integer");
    };
  }

  /** How many elements an array has; 0 where the key is absent. */
  long length(String key) {
    return switch (pairs.get(key)) {
      case null -> 0;
      case GgufValue.Array array -> array.count();
      default -> throw error(key, "is not an array");
    };
  }

  /** The strings of an array; none where the key is absent. */
  List<String> texts(String key) {
    List<String> texts = new ArrayList<>();
    GgufCursor cursor = elements(key, ElementKind.STRING);
    for (long i = length(key); i > 0; i--) {
      texts.add(cursor.readText());
    }
    return texts;
  }

  /** The floats of an array; none where the key is absent. */
  float[] floats(String key) {
    GgufCursor cursor = elements(key, ElementKind.FLOAT32);
    float[] numbers = new float[(int) length(key)];
    for (int i = 0; i < numbers.length; i++) {
      numbers[i] = Float.intBitsToFloat(cursor.readInt());
    }
    return numbers;
  }

  /** The integers of an array; none where the key is absent. */
  int[] integers(String key) {
    GgufCursor cursor = elements(key, ElementKind.INT32, ElementKind.UINT32);
    int[] numbers = new int[(int) length(key)];
    for (int i = 0; i < numbers.length; i++) {
      numbers[i] = cursor.readInt();
    }
    return numbers;
  }

  private GgufCursor elements(String key, ElementKind... kinds) {
    if (!(pairs.get(key) instanceof GgufValue.Array array)) {
      if (has(key)) {
        throw error(key, "is not an array");
      }
      return new GgufCursor(file, MemorySegment.NULL);
    }
    if (!List.of(kinds).contains(array.kind())) {
      throw error(key, "is an array of " + array.kind() + ", not of " + List.of(kinds));
    }
    if (array.count() > MAX_ELEMENTS) {
      throw error(key, "has " + array.count() + " elements; at most " + MAX_ELEMENTS);
    }
    return new GgufCursor(file + ": " + key, array.content());
  }

  /** The error {@code FILE: KEY PROBLEM}. */
  CheckpointException error(String key, String problem) {
    String name = key.length() <= 200 ? key : key.substring(0, 200) + "...";
    return new CheckpointException(file + ": " + name + " " + problem);
  }
}
