package io.flotilla.checkpoint;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.flotilla.checkpoint.TestFiles.Gguf;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

class GgufFileTest {
  private static final long HUGE = 1L << 60;

  @Test
  void readsMetadataOfEveryType() {
    Gguf file = new Gguf().header(2, 0, 10);
    file.text("u8").u32(0).u8(200).text("i8").u32(1).u8(200);
    file.text("u16").u32(2).u8(0xff).u8(0xff).text("i16").u32(3).u8(0xff).u8(0xff);
    file.text("i32").u32(5).u32(-5).text("f32").u32(6).u32(Float.floatToIntBits(1.5f));
    file.text("bool").u32(7).u8(1).text("u64").u32(10).u64(1L << 40);
    file.text("f64").u32(12).u64(Double.doubleToLongBits(-2.5));
    file.text("nested").u32(9).u32(9).u64(2);
    file.u32(8).u64(2).text("x").text("y").u32(4).u64(1).u32(7);

    GgufMetadata metadata = read(file.build()).metadata();
    assertThat(metadata.number("u8")).isEqualTo(200);
    assertThat(metadata.number("i8")).isEqualTo(-56);
    assertThat(metadata.number("u16")).isEqualTo(65535);
    assertThat(metadata.number("i16")).isEqualTo(-1);
    assertThat(metadata.number("i32")).isEqualTo(-5);
    assertThat(metadata.number("f32")).isEqualTo(1.5);
    assertThat(metadata.flag("bool", false)).isTrue();
    assertThat(metadata.number("u64")).isEqualTo(1L << 40);
    assertThat(metadata.number("f64")).isEqualTo(-2.5);
    assertThat(metadata.length("nested")).isEqualTo(2);
  }

  @Test
  void placesTensorsBehindTheAlignment() {
    Gguf file = new Gguf().header(3, 1, 1).pair("general.alignment", 64).tensor("a", 2, 64);
    byte[] front = file.build();
    int start = (front.length + 63) / 64 * 64;
    byte[] content = Arrays.copyOf(front, start + 72);
    content[start + 64] = 9;
    TensorEntry tensor = read(content).tensors().getFirst();
    assertThat(tensor.data().byteSize()).isEqualTo(8);
    assertThat(tensor.data().get(JAVA_BYTE, 0)).isEqualTo((byte) 9);
  }

  @Test
  void refusesWhatIsNoGguf() {
    assertRefused(new byte[3], "no GGUF file");
    assertRefused(new byte[100], "no GGUF file");
  }

  @Test
  void refusesOtherVersions() {
    assertRefused(new Gguf().header(1, 0, 0).build(), "version 1");
    assertRefused(new Gguf().header(4, 0, 0).build(), "version 4");
    assertRefused(new Gguf().header(0x03000000, 0, 0).build(), "big-endian");
  }

  @Test
  void refusesAbsurdCounts() {
    assertRefused(new Gguf().header(3, HUGE, 0).build(), HUGE + " tensors");
    assertRefused(new Gguf().header(3, -1, 0).build(), "18446744073709551615 tensors");
    assertRefused(new Gguf().header(3, 0, HUGE).build(), "metadata pairs");
    assertRefused(
        new Gguf().header(3, 1 << 19, 0).zeros(32 << 19).build(), "at most 262144 are read");
    assertRefused(new Gguf().header(3, 0, 1 << 17).zeros(13 << 17).build(), "at most 65536");
  }

  @Test
  void refusesStringsAndArraysLongerThanTheFile() {
    assertRefused(new Gguf().header(3, 0, 1).u64(HUGE).zeros(13).build(), "bytes of a string");
    assertRefused(new Gguf().header(3, 0, 1).text("k").u32(8).u64(-1).build(), "bytes of a string");
    assertRefused(
        new Gguf().header(3, 0, 1).text("k").u32(9).u32(4).u64(1L << 62).build(), "array elements");
    assertRefused(
        new Gguf().header(3, 0, 1).text("k").u32(9).u32(8).u64(9).zeros(9).build(),
        "ends within its metadata");
  }

  @Test
  void refusesArraysNestedTooDeeply() {
    Gguf file = new Gguf().header(3, 0, 1).text("k").u32(9);
    for (int i = 0; i < 100; i++) {
      file.u32(9).u64(1);
    }
    assertRefused(file.u32(0).u64(0).build(), "nests arrays");
  }

  @Test
  void refusesUnknownValueTypesAndBooleans() {
    assertRefused(new Gguf().header(3, 0, 1).text("k").u32(13).u64(0).build(), "unknown type 13");
    assertRefused(new Gguf().header(3, 0, 1).text("k").u32(-1).u64(0).build(), "unknown type -1");
    assertRefused(new Gguf().header(3, 0, 1).text("key").u32(7).u8(2).build(), "boolean");
  }

  @Test
  void refusesKeysThatAppearTwiceOrAreNotUtf8() {
    assertRefused(new Gguf().header(3, 0, 2).pair("k", 1).pair("k", 1).build(), "k appears twice");
    assertRefused(new Gguf().header(3, 0, 1).u64(1).u8(0xff).u32(4).u32(1).build(), "not UTF-8");
  }

  @Test
  void refusesAlignmentsThatAreNoPowerOfTwo() {
    for (long alignment : new long[] {0, 33, 0xffff_ffffL}) {
      assertRefused(
          new Gguf().header(3, 0, 1).pair("general.alignment", alignment).build(),
          "general.alignment is " + alignment);
    }
  }

  @Test
  void refusesTypesThatAreNotSupportedByName() {
    assertRefused(typed(23), "tensor a as IQ4_XS", "Q4_K");
    assertRefused(typed(10), "tensor a as Q2_K");
    assertRefused(typed(4), "unknown type 4");
    assertRefused(typed(-1), "unknown type 4294967295");
  }

  private static byte[] typed(long type) {
    return new Gguf().header(3, 1, 0).text("a").u32(1).u64(256).u32(type).u64(0).zeros(999).build();
  }

  @Test
  void refusesShapesThatNoFileCanHold() {
    assertRefused(shaped(1L << 40, 1L << 40), "no file can hold");
    assertRefused(shaped(-1, 1), "no file can hold");
    assertRefused(shaped(0, 1), "no file can hold");
    assertRefused(shaped(33, 1), "rows of 33 elements", "Q8_0");
    assertRefused(new Gguf().header(3, 1, 0).text("a").u32(5).zeros(99).build(), "a 5 dimensions");
    assertRefused(
        new Gguf().header(3, 1, 0).text("a").u32(-1).zeros(99).build(), "4294967295 dimensions");
  }

  private static byte[] shaped(long columns, long rows) {
    Gguf file = new Gguf().header(3, 1, 0).text("a").u32(2).u64(columns).u64(rows);
    return file.u32(8).u64(0).align().zeros(100).build();
  }

  @Test
  void refusesOffsetsThatOverlapOrLieOutside() {
    assertRefused(two(0, 0), "tensor b overlaps");
    assertRefused(two(0, 4), "no multiple of the alignment");
    assertRefused(two(0, 64), "tensor b ends beyond the end");
    assertRefused(two(0, 32L << 50), "tensor b ends beyond the end");
    assertRefused(two(0, -32), "tensor b starts at an offset");
    assertThat(read(two(0, 32)).tensors()).hasSize(2);
  }

  private static byte[] two(long first, long second) {
    Gguf file = new Gguf().header(3, 2, 0).tensor("a", 8, first).tensor("b", 8, second);
    return file.align().zeros(64).build();
  }

  @Test
  void refusesATruncatedFileAtAnyByte() {
    byte[] whole = two(0, 32);
    for (int length = 0; length < whole.length; length++) {
      byte[] cut = Arrays.copyOf(whole, length);
      assertRefused(cut, "model.gguf");
    }
  }

  @Test
  void keepsArraysInTheFileUntilAskedFor() {
    Gguf file = new Gguf().header(3, 0, 1).text("k").u32(9).u32(8).u64(2).text("a").text("b");
    GgufMetadata metadata = read(file.build()).metadata();
    assertThat(metadata.texts("k")).isEqualTo(List.of("a", "b"));
    assertThatThrownBy(() -> metadata.floats("k"))
        .isInstanceOf(CheckpointException.class)
        .hasMessageContaining("array of STRING");
    assertThat(metadata.texts("absent")).isEmpty();
  }

  private static void assertRefused(byte[] content, String... words) {
    assertThatThrownBy(() -> read(content))
        .isInstanceOf(CheckpointException.class)
        .hasMessageStartingWith("model.gguf")
        .hasMessageContainingAll(words);
  }

  private static GgufFile read(byte[] content) {
    MemorySegment copy = Arena.ofAuto().allocate(content.length);
    copy.copyFrom(MemorySegment.ofArray(content));
    return GgufFile.read("model.gguf", copy);
  }
}
