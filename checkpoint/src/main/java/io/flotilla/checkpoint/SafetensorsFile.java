package io.flotilla.checkpoint;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED;

import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.core.ObjectReadContext;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.core.json.JsonFactory;
import tools.jackson.databind.util.ByteBufferBackedInputStream;

/**
 * Reads the header of a safetensors file.
 *
 * <pre>
 * u64 little-endian length N | N bytes of JSON | tensors
 * JSON: {"__metadata__": {...}, "NAME": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]}}
 * </pre>
 *
 * As strict as the reference library: offsets count from the end of the header, and the tensors,
 * sorted by offset, fill the rest of the file without overlap or hole. Format: <a
 * href="https://github.com/huggingface/safetensors#format">safetensors</a>.
 */
final class SafetensorsFile {
  private static final long MAX_HEADER = 100_000_000;
  private static final int MAX_TENSORS = 1 << 18;
  private static final int MAX_METADATA = 1 << 16;
  private static final int MAX_DIMENSIONS = 8;
  private static final Map<String, Integer> BITS =
      Map.ofEntries(
          Map.entry("F64", 64),
          Map.entry("F32", 32),
          Map.entry("F16", 16),
          Map.entry("BF16", 16),
          Map.entry("I64", 64),
          Map.entry("I32", 32),
          Map.entry("I16", 16),
          Map.entry("I8", 8),
          Map.entry("U64", 64),
          Map.entry("U32", 32),
          Map.entry("U16", 16),
          Map.entry("U8", 8),
          Map.entry("BOOL", 8),
          Map.entry("C64", 64),
          Map.entry("F8_E4M3", 8),
          Map.entry("F8_E5M2", 8),
          Map.entry("F8_E8M0", 8),
          Map.entry("F6_E2M3", 6),
          Map.entry("F6_E3M2", 6),
          Map.entry("F4", 4));
  private static final JsonFactory JSON =
      JsonFactory.builder().enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION).build();

  private final String file;
  private final MemorySegment data;
  private final JsonParser parser;
  private final List<Extent> extents = new ArrayList<>();

  /** A tensor as the header describes it; {@code begin} and {@code end} count from the data. */
  private record Extent(String name, String type, List<Long> shape, long begin, long end) {}

  private SafetensorsFile(String file, MemorySegment data, JsonParser parser) {
    this.file = file;
    this.data = data;
    this.parser = parser;
  }

  /**
   * The tensors of a file, by offset.
   *
   * @param file its name, for messages
   * @param content the whole file
   * @throws CheckpointException when the file is cut or corrupt, saying where
   */
  static List<TensorEntry> read(String file, MemorySegment content) {
    long size = content.byteSize();
    if (size < 8) {
      throw new CheckpointException(
          file + " has " + size + " bytes, too few for a safetensors file; download it again");
    }
    long header = content.get(JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN), 0);
    if (header < 2 || header > size - 8 || header > MAX_HEADER) {
      throw new CheckpointException(
          file
              + " claims a header of "
              + Long.toUnsignedString(header)
              + " bytes in a file of "
              + size
              + " (at most "
              + MAX_HEADER
              + "): it is cut or no safetensors file; download it again");
    }
    MemorySegment json = content.asSlice(8, header);
    MemorySegment data = content.asSlice(8 + header);
    if (json.get(JAVA_BYTE, 0) != '{') {
      throw new CheckpointException(file + " is no safetensors file: its header is no JSON object");
    }
    try (JsonParser parser =
        JSON.createParser(
            ObjectReadContext.empty(), new ByteBufferBackedInputStream(json.asByteBuffer()))) {
      SafetensorsFile reader = new SafetensorsFile(file, data, parser);
      reader.readHeader();
      return reader.entries();
    } catch (JacksonException e) {
      throw new CheckpointException(
          file + ": the safetensors header is not valid JSON: " + e.getOriginalMessage(), e);
    }
  }

  private void readHeader() {
    expect(parser.nextToken(), JsonToken.START_OBJECT, "header");
    while (parser.nextToken() == JsonToken.PROPERTY_NAME) {
      String name = parser.currentName();
      parser.nextToken();
      if (name.equals("__metadata__")) {
        skipMetadata();
      } else if (extents.size() == MAX_TENSORS) {
        throw new CheckpointException(file + " holds more than " + MAX_TENSORS + " tensors");
      } else {
        extents.add(readTensor(name));
      }
    }
    if (parser.nextToken() != null) {
      throw new CheckpointException(file + ": data follows the header's JSON object");
    }
  }

  /** Strings by name, none of which says how to read the tensors. */
  private void skipMetadata() {
    expect(parser.currentToken(), JsonToken.START_OBJECT, "__metadata__");
    int entries = 0;
    while (parser.nextToken() == JsonToken.PROPERTY_NAME) {
      expect(parser.nextToken(), JsonToken.VALUE_STRING, "__metadata__");
      if (++entries > MAX_METADATA) {
        throw new CheckpointException(file + " holds more than " + MAX_METADATA + " notes");
      }
    }
  }

  private Extent readTensor(String name) {
    expect(parser.currentToken(), JsonToken.START_OBJECT, name);
    String type = null;
    List<Long> shape = null;
    List<Long> offsets = null;
    while (parser.nextToken() == JsonToken.PROPERTY_NAME) {
      String field = parser.currentName();
      JsonToken value = parser.nextToken();
      switch (field) {
        case "dtype" -> {
          expect(value, JsonToken.VALUE_STRING, name);
          type = parser.getString();
        }
        case "shape" -> shape = readLongs(name, MAX_DIMENSIONS);
        case "data_offsets" -> offsets = readLongs(name, 2);
        default -> throw corrupt(name, "has the unknown field " + field);
      }
    }
    if (type == null || shape == null || offsets == null || offsets.size() != 2) {
      throw corrupt(name, "needs dtype, shape and two data_offsets");
    }
    return new Extent(name, type, shape, offsets.get(0), offsets.get(1));
  }

  private List<Long> readLongs(String name, int most) {
    expect(parser.currentToken(), JsonToken.START_ARRAY, name);
    List<Long> numbers = new ArrayList<>();
    while (parser.nextToken() != JsonToken.END_ARRAY) {
      expect(parser.currentToken(), JsonToken.VALUE_NUMBER_INT, name);
      if (parser.getNumberType() == JsonParser.NumberType.BIG_INTEGER
          || parser.getLongValue() < 0
          || numbers.size() == most) {
        throw corrupt(name, "has a shape or offsets that no file can hold");
      }
      numbers.add(parser.getLongValue());
    }
    return numbers;
  }

  private List<TensorEntry> entries() {
    extents.sort(Comparator.comparingLong(Extent::begin).thenComparingLong(Extent::end));
    List<TensorEntry> entries = new ArrayList<>(extents.size());
    long next = 0;
    for (Extent extent : extents) {
      if (extent.begin < next) {
        throw corrupt(extent.name, "overlaps the tensor before it");
      }
      if (extent.begin > next) {
        throw corrupt(
            extent.name, "leaves a hole of " + (extent.begin - next) + " bytes before it");
      }
      if (extent.end < extent.begin || extent.end > data.byteSize()) {
        throw corrupt(
            extent.name,
            "ends at byte " + extent.end + " of " + data.byteSize() + "; download the file again");
      }
      if (extent.end - extent.begin != bytes(extent)) {
        throw corrupt(extent.name, "has data_offsets that do not match its shape and dtype");
      }
      entries.add(entry(extent));
      next = extent.end;
    }
    if (next != data.byteSize()) {
      throw new CheckpointException(
          file + " has " + (data.byteSize() - next) + " bytes after its last tensor");
    }
    return entries;
  }

  private TensorEntry entry(Extent extent) {
    MemorySegment slice = data.asSlice(extent.begin, extent.end - extent.begin);
    return new TensorEntry(
        file, extent.name, supported(extent.type), extent.type, extent.shape, slice);
  }

  private static @Nullable ElementType supported(String type) {
    return switch (type) {
      case "F32" -> ElementType.F32;
      case "F16" -> ElementType.F16;
      case "BF16" -> ElementType.BF16;
      default -> null;
    };
  }

  private long bytes(Extent extent) {
    Integer bits = BITS.get(extent.type);
    if (bits == null) {
      throw corrupt(extent.name, "has the unknown dtype " + extent.type);
    }
    try {
      long product = bits;
      for (long dimension : extent.shape) {
        product = Math.multiplyExact(product, dimension);
      }
      if (product % 8 != 0) {
        throw corrupt(extent.name, "does not fill whole bytes");
      }
      return product / 8;
    } catch (ArithmeticException e) {
      throw corrupt(extent.name, "has a shape whose size overflows: " + extent.shape);
    }
  }

  private void expect(@Nullable JsonToken actual, JsonToken expected, String where) {
    if (actual != expected) {
      throw corrupt(where, "has " + actual + " where " + expected + " belongs");
    }
  }

  private CheckpointException corrupt(String tensor, String problem) {
    String name = tensor.length() <= 200 ? tensor : tensor.substring(0, 200) + "...";
    return new CheckpointException(file + ": tensor " + name + " " + problem);
  }
}
