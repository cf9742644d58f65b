package io.flotilla.checkpoint;

import java.io.ByteArrayOutputStream;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/** Files for tests, good and bad. */
final class TestFiles {
  private TestFiles() {}

  static byte[] resource(String name) throws IOException {
    try (InputStream stream = TestFiles.class.getResourceAsStream(name)) {
      if (stream == null) {
        throw new FileNotFoundException(name);
      }
      return stream.readAllBytes();
    }
  }

  /** A safetensors file with this header and so many bytes of zeros behind it. */
  static byte[] safetensors(String header, int dataBytes) {
    byte[] json = header.replace('\'', '"').getBytes(StandardCharsets.UTF_8);
    return safetensors(json.length, json, dataBytes);
  }

  static byte[] safetensors(long claimedHeader, byte[] json, int dataBytes) {
    return ByteBuffer.allocate(8 + json.length + dataBytes)
        .order(ByteOrder.LITTLE_ENDIAN)
        .putLong(claimedHeader)
        .put(json)
        .array();
  }

  /** Writes a folder's {@code config.json}; single quotes stand for double ones. */
  static void writeConfig(Path folder, String json) throws IOException {
    Files.writeString(folder.resolve("config.json"), json.replace('\'', '"'));
  }

  /** A GGUF file in the making. */
  static final class Gguf {
    private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();

    Gguf header(int version, long tensors, long pairs) {
      bytes.writeBytes(new byte[] {'G', 'G', 'U', 'F'});
      return u32(version).u64(tensors).u64(pairs);
    }

    Gguf u8(int value) {
      bytes.write(value);
      return this;
    }

    Gguf u32(long value) {
      return little(value, 4);
    }

    Gguf u64(long value) {
      return little(value, 8);
    }

    private Gguf little(long value, int count) {
      for (int i = 0; i < count; i++) {
        bytes.write((int) (value >>> (8 * i)));
      }
      return this;
    }

    Gguf text(String text) {
      byte[] utf8 = text.getBytes(StandardCharsets.UTF_8);
      u64(utf8.length);
      bytes.writeBytes(utf8);
      return this;
    }

    /** A pair whose value is an unsigned integer of 32 bits. */
    Gguf pair(String key, long value) {
      return text(key).u32(4).u32(value);
    }

    /** A pair whose value is a string. */
    Gguf pair(String key, String value) {
      return text(key).u32(8).text(value);
    }

    /** The description of an F32 tensor of one dimension. */
    Gguf tensor(String name, long elements, long offset) {
      return text(name).u32(1).u64(elements).u32(0).u64(offset);
    }

    Gguf zeros(int count) {
      bytes.writeBytes(new byte[count]);
      return this;
    }

    /** Fills up to a multiple of 32 bytes. */
    Gguf align() {
      return zeros((32 - bytes.size() % 32) % 32);
    }

    byte[] build() {
      return bytes.toByteArray();
    }
  }
}
