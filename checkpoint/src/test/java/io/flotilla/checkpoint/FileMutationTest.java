package io.flotilla.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.util.Arrays;
import java.util.Random;
import java.util.function.Predicate;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Damages good files the same way each time, beyond what the fuzzer's seeds cover: each result is
 * read, or refused with a {@link CheckpointException}; any other exception fails the test.
 */
class FileMutationTest {
  private static final int ROUNDS = 10_000;
  private static final long[] HOSTILE = {
    -1,
    0,
    1,
    7,
    8,
    31,
    255,
    1 << 16,
    Integer.MAX_VALUE,
    1L << 31,
    1L << 32,
    1L << 40,
    1L << 62,
    Long.MAX_VALUE,
    Long.MIN_VALUE
  };

  @ParameterizedTest
  @CsvSource({"safetensors/tiny.safetensors", "gguf/tiny-llama3.gguf", "gguf/tiny-qwen2.gguf"})
  void readsOrRefusesWhateverWasDamaged(String name) throws IOException {
    byte[] good = TestFiles.resource("FileParsersFuzzTestInputs/" + name);
    Predicate<byte[]> reader =
        name.startsWith("gguf") ? FileFuzzing::readGguf : FileFuzzing::readSafetensors;
    Random random = new Random(42);
    int read = 0;
    for (int round = 0; round < ROUNDS; round++) {
      read += reader.test(damaged(good, random)) ? 1 : 0;
    }
    assertThat(reader.test(good)).isTrue();
    assertThat(read).as("files that were still read").isBetween(ROUNDS / 100, ROUNDS * 99 / 100);
  }

  private static byte[] damaged(byte[] good, Random random) {
    byte[] bytes = good.clone();
    // The front is where lengths, counts and types lie.
    int reach = random.nextBoolean() ? Math.min(400, bytes.length) : bytes.length;
    for (int i = random.nextInt(3); i >= 0; i--) {
      int at = random.nextInt(reach);
      switch (random.nextInt(4)) {
        case 0 -> bytes[at] ^= (byte) (1 << random.nextInt(8));
        case 1 -> bytes[at] = (byte) random.nextInt(256);
        case 2 -> write(bytes, at, HOSTILE[random.nextInt(HOSTILE.length)]);
        default -> {
          int from = random.nextInt(bytes.length);
          int length = Math.min(random.nextInt(64), bytes.length - Math.max(at, from));
          System.arraycopy(bytes, from, bytes, at, length);
        }
      }
    }
    return random.nextInt(8) == 0 ? Arrays.copyOf(bytes, random.nextInt(bytes.length)) : bytes;
  }

  private static void write(byte[] bytes, int at, long value) {
    for (int i = 0; i < 8 && at + i < bytes.length; i++) {
      bytes[at + i] = (byte) (value >>> (8 * i));
    }
  }
}
