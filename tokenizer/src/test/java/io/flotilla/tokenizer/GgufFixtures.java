package io.flotilla.tokenizer;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.channels.FileChannel;
import java.nio.channels.FileChannel.MapMode;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Reads the metadata of a GGUF file that is known to be good; values as plain Java ones. */
final class GgufFixtures {
  private static final int STRING = 8;
  private static final int ARRAY = 9;

  private final MemorySegment file;
  private long position;

  private GgufFixtures(MemorySegment file) {
    this.file = file;
  }

  static Map<String, Object> metadata(Path path) throws IOException {
    try (Arena arena = Arena.ofConfined();
        FileChannel channel = FileChannel.open(path)) {
      return new GgufFixtures(channel.map(MapMode.READ_ONLY, 0, channel.size(), arena)).read();
    }
  }

  private Map<String, Object> read() {
    position = 16;
    long count = number(8);
    Map<String, Object> values = new HashMap<>();
    for (long i = 0; i < count; i++) {
      values.put(string(), value((int) number(4)));
    }
    return values;
  }

  private Object value(int type) {
    return switch (type) {
      case 0, 1, 7 -> number(1);
      case 2, 3 -> number(2);
      case 4, 5 -> number(4);
      case 6 -> Float.intBitsToFloat((int) number(4));
      case STRING -> string();
      case ARRAY -> array();
      case 10, 11 -> number(8);
      default -> throw new AssertionError("type " + type);
    };
  }

  private List<Object> array() {
    int type = (int) number(4);
    long count = number(8);
    List<Object> values = new ArrayList<>();
    for (long i = 0; i < count; i++) {
      values.add(value(type));
    }
    return values;
  }

  private String string() {
    byte[] bytes = new byte[(int) number(8)];
    for (int i = 0; i < bytes.length; i++) {
      bytes[i] = (byte) number(1);
    }
    return new String(bytes, StandardCharsets.UTF_8);
  }

  private long number(int bytes) {
    long value = 0;
    for (int i = 0; i < bytes; i++) {
      value |= (file.get(ValueLayout.JAVA_BYTE, position++) & 0xFFL) << (8 * i);
    }
    return value;
  }
}
