package io.flotilla.checkpoint;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Reads the front of a GGUF file, versions 2 and 3, little-endian.
 *
 * <pre>
 * "GGUF" | u32 version | u64 tensors | u64 pairs | pairs | tensor descriptions | padding | data
 * pair:        string key | u32 type | value
 * description: string name | u32 dimensions | u64 each, fastest first | u32 type | u64 offset
 * </pre>
 *
 * Offsets count from the data, which starts at the next multiple of {@code general.alignment}.
 * Format: <a href="https://github.com/ggml-org/ggml/blob/master/docs/gguf.md">GGUF</a>.
 *
 * @param tensors under the names of the file, by offset
 */
record GgufFile(GgufMetadata metadata, List<TensorEntry> tensors) {
  private static final int MAGIC = 'G' | 'G' << 8 | 'U' << 16 | 'F' << 24;
  private static final int MAX_TENSORS = 1 << 18;
  private static final int MAX_DIMENSIONS = 4;
  private static final int MAX_NAME = 1024;
  private static final int MIN_DESCRIPTION = 32;
  private static final int MIN_PAIR = 13;
  private static final int MAX_ALIGNMENT = 1 << 24;
  private static final int DEFAULT_ALIGNMENT = 32;

  GgufFile {
    tensors = List.copyOf(tensors);
  }

  /** A tensor as described; {@code offset} counts from the data. */
  private record Description(
      String name, ElementType type, List<Long> shape, long offset, long bytes) {}

  /**
   * Reads a file.
   *
   * @param file its name, for messages
   * @param content the whole file
   * @throws CheckpointException when it is cut, corrupt or of a kind that is not supported
   */
  static GgufFile read(String file, MemorySegment content) {
    GgufCursor cursor = new GgufCursor(file, content);
    if (content.byteSize() < 24 || cursor.readInt() != MAGIC) {
      throw new CheckpointException(file + " is no GGUF file: it does not start with GGUF");
    }
    int version = cursor.readInt();
    if (version != 2 && version != 3) {
      throw new CheckpointException(
          file
              + " is GGUF version "
              + Integer.toUnsignedString(version)
              + (Integer.reverseBytes(version) == 3 ? " in big-endian order" : "")
              + "; versions 2 and 3 in little-endian order are supported");
    }
    long tensors = cursor.readCount("tensors", MIN_DESCRIPTION);
    if (tensors > MAX_TENSORS) {
      throw cursor.error("claims " + tensors + " tensors; at most " + MAX_TENSORS + " are read");
    }
    long pairs = cursor.readCount("metadata pairs", MIN_PAIR);
    GgufMetadata metadata = GgufMetadata.read(file, cursor, pairs);
    List<Description> descriptions = new ArrayList<>();
    for (long i = 0; i < tensors; i++) {
      descriptions.add(readDescription(cursor));
    }
    long alignment = alignment(metadata);
    long start = (cursor.position() + alignment - 1) / alignment * alignment;
    return new GgufFile(metadata, entries(file, content, descriptions, start, alignment));
  }

  private static long alignment(GgufMetadata metadata) {
    String key = "general.alignment";
    int alignment = metadata.whole(key, 1, MAX_ALIGNMENT, DEFAULT_ALIGNMENT);
    if (Integer.bitCount(alignment) != 1) {
      throw metadata.error(key, "is " + alignment + ", not a power of two");
    }
    return alignment;
  }

  private static Description readDescription(GgufCursor cursor) {
    String name = cursor.readText(MAX_NAME);
    int dimensions = cursor.readInt();
    if (dimensions < 1 || dimensions > MAX_DIMENSIONS) {
      throw cursor.error(
          "gives tensor " + name + " " + Integer.toUnsignedString(dimensions) + " dimensions");
    }
    List<Long> shape = new ArrayList<>();
    long elements = 1;
    for (int i = 0; i < dimensions; i++) {
      long dimension = cursor.readLong();
      if (dimension < 1 || dimension > Long.MAX_VALUE / 1024 / elements) {
        throw cursor.error("gives tensor " + name + " a size that no file can hold");
      }
      elements *= dimension;
      shape.addFirst(dimension);
    }
    ElementType type = type(cursor, name, cursor.readInt());
    if (shape.getLast() % type.blockElements() != 0) {
      throw cursor.error(
          "gives tensor "
              + name
              + " rows of "
              + shape.getLast()
              + " elements, no whole blocks of "
              + type);
    }
    long bytes = elements / type.blockElements() * type.blockBytes();
    return new Description(name, type, shape, cursor.readLong(), bytes);
  }

  private static List<TensorEntry> entries(
      String file,
      MemorySegment content,
      List<Description> descriptions,
      long start,
      long alignment) {
    descriptions.sort(Comparator.comparingLong(Description::offset));
    long available = Math.max(0, content.byteSize() - start);
    List<TensorEntry> entries = new ArrayList<>(descriptions.size());
    long next = 0;
    for (Description tensor : descriptions) {
      String problem = null;
      if (tensor.offset < 0 || tensor.offset % alignment != 0) {
        problem = "starts at an offset that is no multiple of the alignment " + alignment;
      } else if (tensor.offset < next) {
        problem = "overlaps the tensor before it";
      } else if (tensor.offset > available || tensor.bytes > available - tensor.offset) {
        problem = "ends beyond the end of the file: it is cut; download it again";
      }
      if (problem != null) {
        throw new CheckpointException(file + ": tensor " + tensor.name + " " + problem);
      }
      next = tensor.offset + tensor.bytes;
      MemorySegment data = content.asSlice(start + tensor.offset, tensor.bytes);
      entries.add(
          new TensorEntry(file, tensor.name, tensor.type, tensor.type.name(), tensor.shape, data));
    }
    return entries;
  }

  private static ElementType type(GgufCursor cursor, String tensor, int number) {
    ElementType type = supported(number);
    if (type == null) {
      throw cursor.error(
          "stores tensor "
              + tensor
              + " as "
              + typeName(number)
              + ", which is not supported; use a file with F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0,"
              + " Q5_1, Q4_K, Q5_K or Q6_K");
    }
    return type;
  }

  private static @Nullable ElementType supported(int number) {
    return switch (number) {
      case 0 -> ElementType.F32;
      case 1 -> ElementType.F16;
      case 2 -> ElementType.Q4_0;
      case 3 -> ElementType.Q4_1;
      case 6 -> ElementType.Q5_0;
      case 7 -> ElementType.Q5_1;
      case 8 -> ElementType.Q8_0;
      case 12 -> ElementType.Q4_K;
      case 13 -> ElementType.Q5_K;
      case 14 -> ElementType.Q6_K;
      case 30 -> ElementType.BF16;
      default -> null;
    };
  }

  private static String typeName(int number) {
    return switch (number) {
      case 9 -> "Q8_1";
      case 10 -> "Q2_K";
      case 11 -> "Q3_K";
      case 15 -> "Q8_K";
      case 16 -> "IQ2_XXS";
      case 17 -> "IQ2_XS";
      case 18 -> "IQ3_XXS";
      case 19 -> "IQ1_S";
      case 20 -> "IQ4_NL";
      case 21 -> "IQ3_S";
      case 22 -> "IQ2_S";
      case 23 -> "IQ4_XS";
      case 24 -> "I8";
      case 25 -> "I16";
      case 26 -> "I32";
      case 27 -> "I64";
      case 28 -> "F64";
      case 29 -> "IQ1_M";
      case 34 -> "TQ1_0";
      case 35 -> "TQ2_0";
      case 39 -> "MXFP4";
      default -> "the unknown type " + Integer.toUnsignedString(number);
    };
  }
}
