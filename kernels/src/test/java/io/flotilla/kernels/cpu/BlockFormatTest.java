package io.flotilla.kernels.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.flotilla.kernels.TensorType;
import java.io.InputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** Blocks widened as GGML's own package widens them; see {@code make_block_formats.py}. */
class BlockFormatTest {
  /** A stored row and the bytes of its floats. */
  record Golden(TensorType type, byte[] stored, byte[] floats) {
    int elements() {
      return floats.length / Float.BYTES;
    }

    @Override
    public String toString() {
      return type.toString();
    }
  }

  static List<Golden> goldens() throws Exception {
    List<Golden> goldens = new ArrayList<>();
    try (InputStream stream = BlockFormatTest.class.getResourceAsStream("block-formats.json")) {
      for (JsonNode row : JsonMapper.shared().readTree(stream)) {
        goldens.add(
            new Golden(
                TensorType.valueOf(row.get(0).stringValue()),
                HexFormat.of().parseHex(row.get(1).stringValue()),
                HexFormat.of().parseHex(row.get(2).stringValue())));
      }
    }
    return goldens;
  }

  @ParameterizedTest
  @MethodSource("goldens")
  void widensToTheBitFromAnyByte(Golden golden) {
    try (Arena arena = Arena.ofConfined()) {
      for (int offset : new int[] {0, 1, 7}) {
        MemorySegment stored = arena.allocate(offset + golden.stored.length, 64);
        stored.asSlice(offset).copyFrom(MemorySegment.ofArray(golden.stored));
        MemorySegment floats = arena.allocate(golden.floats.length, 64);
        BlockFormat.widen(golden.type, stored, offset, golden.elements(), floats);
        assertThat(floats.mismatch(MemorySegment.ofArray(golden.floats))).isEqualTo(-1);
      }
    }
  }

  @ParameterizedTest
  @MethodSource("goldens")
  void widensARangeOfBlocksAndTouchesNothingElse(Golden golden) {
    int block = golden.type.blockElements();
    int bytes = block * Float.BYTES;
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment stored = arena.allocate(golden.stored.length);
      stored.copyFrom(MemorySegment.ofArray(golden.stored));
      MemorySegment floats = arena.allocate(2L * bytes).fill((byte) 0x55);
      BlockFormat.widen(golden.type, stored, golden.type.blockBytes(), block, floats);
      assertThat(floats.asSlice(0, bytes).mismatch(slice(golden.floats, bytes, bytes)))
          .isEqualTo(-1);
      assertThat(floats.asSlice(bytes).toArray(ValueLayout.JAVA_BYTE)).containsOnly(0x55);
    }
  }

  @Test
  void everyTypeOfFloatsHasAGolden() throws Exception {
    Set<TensorType> covered = EnumSet.noneOf(TensorType.class);
    goldens().forEach(golden -> covered.add(golden.type));
    assertThat(covered).isEqualTo(EnumSet.complementOf(EnumSet.of(TensorType.I32)));
  }

  @Test
  void refusesIntegersAndPartsOfBlocks() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment memory = arena.allocate(64);
      assertThatThrownBy(() -> BlockFormat.widen(TensorType.I32, memory, 0, 1, memory))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("integers");
      assertThatThrownBy(() -> BlockFormat.widen(TensorType.Q8_0, memory, 0, 31, memory))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("31 elements of Q8_0");
    }
  }

  private static MemorySegment slice(byte[] bytes, int from, int count) {
    return MemorySegment.ofArray(bytes).asSlice(from, count);
  }
}
