package io.flotilla.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.tuple;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class SafetensorsFileTest {
  @Test
  void readsWhatTheReferenceWrites() throws IOException {
    List<TensorEntry> tensors =
        read(TestFiles.resource("FileParsersFuzzTestInputs/safetensors/tiny.safetensors"));
    assertThat(tensors)
        .extracting(TensorEntry::name, TensorEntry::typeName, TensorEntry::shape)
        .containsExactlyInAnyOrder(
            tuple("counts", "I64", List.of(5L)),
            tuple("empty", "F32", List.of(0L, 3L)),
            tuple("model.norm.weight", "F32", List.of(6L)),
            tuple("model.embed_tokens.weight", "BF16", List.of(4L, 6L)),
            tuple("half", "F16", List.of(3L)));
  }

  @Test
  void readsAHeaderPaddedWithSpacesAndDataAtAnyByte() {
    List<TensorEntry> tensors =
        read(
            "{'a':{'dtype':'U8','shape':[1],'data_offsets':[0,1]},"
                + "'b':{'dtype':'F32','shape':[],'data_offsets':[1,5]}}   ",
            5);
    assertThat(tensors).hasSize(2);
    assertThat(tensors.get(1).type()).isEqualTo(ElementType.F32);
    assertThat(tensors.get(1).data().byteSize()).isEqualTo(4);
  }

  @Test
  void refusesAFileTooShortForALength() {
    assertRefused(new byte[7], "7 bytes");
  }

  @Test
  void refusesAHeaderLongerThanTheFile() {
    byte[] json = "{}".getBytes(StandardCharsets.UTF_8);
    assertRefused(TestFiles.safetensors(3, json, 0), "header of 3 bytes", "cut");
    assertRefused(TestFiles.safetensors(-1, json, 0), "header of 18446744073709551615 bytes");
    assertRefused(TestFiles.safetensors(Long.MAX_VALUE, json, 0), "9223372036854775807");
    assertRefused(TestFiles.safetensors(0, json, 0), "header of 0 bytes");
  }

  @Test
  void refusesWhatIsNoObject() {
    assertRefused("[1]", 0, "no JSON object");
    assertRefused("{'a':", 0, "not valid JSON");
    assertRefused("{} {}", 0, "follows");
    assertRefused("{'a':3}", 0, "tensor a", "START_OBJECT");
  }

  @Test
  void refusesDuplicateNames() {
    String tensor = "'a':{'dtype':'U8','shape':[1],'data_offsets':[0,1]}";
    assertRefused("{" + tensor + "," + tensor + "}", 1, "Duplicate");
  }

  @Test
  void refusesMissingFields() {
    assertRefused("{'a':{'dtype':'U8','shape':[1]}}", 1, "tensor a", "data_offsets");
    assertRefused("{'a':{'shape':[1],'data_offsets':[0,1]}}", 1, "dtype");
    assertRefused("{'a':{'dtype':'U8','data_offsets':[0,1]}}", 1, "shape");
    assertRefused("{'a':{'dtype':'U8','shape':[1],'data_offsets':[0]}}", 1, "data_offsets");
  }

  @Test
  void refusesUnknownTypes() {
    assertRefused(tensor("Q2", "[1]", "[0,1]"), 1, "tensor a", "unknown dtype Q2");
  }

  @Test
  void refusesShapesThatOverflow() {
    String two62 = Long.toString(1L << 62);
    assertRefused(tensor("F32", "[" + two62 + "," + two62 + "]", "[0,4]"), 4, "overflows");
    assertRefused(tensor("F32", "[" + two62 + "]", "[0,4]"), 4, "overflows");
    assertRefused(tensor("F32", "[99999999999999999999]", "[0,4]"), 4, "no file can hold");
    assertRefused(tensor("F32", "[-1]", "[0,4]"), 4, "no file can hold");
    assertRefused(tensor("F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]"), 4, "no file can hold");
    assertRefused(tensor("F32", "[1.5]", "[0,4]"), 4, "VALUE_NUMBER_FLOAT");
  }

  @Test
  void refusesShapesThatDoNotMatchTheOffsets() {
    assertRefused(tensor("F32", "[2]", "[0,4]"), 4, "do not match its shape");
    assertRefused(tensor("F4", "[1]", "[0,1]"), 1, "whole bytes");
  }

  @Test
  void refusesOffsetsOutsideTheFile() {
    assertRefused(tensor("F32", "[2]", "[0,8]"), 4, "ends at byte 8 of 4");
    assertRefused(tensor("F32", "[2]", "[8,0]"), 8, "tensor a");
    assertRefused(tensor("F32", "[1]", "[9223372036854775800,9223372036854775804]"), 4, "hole");
  }

  @Test
  void refusesOverlapsAndHoles() {
    String first = "{'a':{'dtype':'U8','shape':[4],'data_offsets':[0,4]},";
    assertRefused(
        first + "'b':{'dtype':'U8','shape':[4],'data_offsets':[2,6]}}", 6, "tensor b", "overlaps");
    assertRefused(
        first + "'b':{'dtype':'U8','shape':[2],'data_offsets':[6,8]}}", 8, "hole of 2 bytes");
    assertRefused(tensor("U8", "[4]", "[0,4]"), 9, "5 bytes after its last tensor");
  }

  @Test
  void refusesMoreTensorsThanAnyModelHas() {
    StringBuilder header = new StringBuilder("{");
    for (int i = 0; i <= 1 << 18; i++) {
      header.append(i == 0 ? "" : ",").append("'").append(i);
      header.append("':{'dtype':'U8','shape':[0],'data_offsets':[0,0]}");
    }
    assertRefused(header.append("}").toString(), 0, "more than 262144 tensors");
  }

  @Test
  void refusesNotesThatAreNoStringsOrTooMany() {
    assertRefused("{'__metadata__':{'a':1}}", 0, "__metadata__ has VALUE_NUMBER_INT");
    String notes =
        IntStream.rangeClosed(0, 1 << 16)
            .mapToObj(i -> "'" + i + "':''")
            .collect(Collectors.joining(","));
    assertRefused("{'__metadata__':{" + notes + "}}", 0, "more than 65536 notes");
  }

  @Test
  void refusesUnknownFields() {
    assertRefused("{'a':{'dtype':'U8','strides':[1]}}", 0, "unknown field strides");
  }

  @Test
  void refusesDeepNesting() {
    String deep = "[".repeat(5000) + "]".repeat(5000);
    assertRefused("{'__metadata__':" + deep + "}", 0, "__metadata__ has START_ARRAY");
    assertRefused("{'a':{'shape':" + deep + "}}", 0, "tensor a has START_ARRAY");
  }

  private static String tensor(String type, String shape, String offsets) {
    return "{'a':{'dtype':'%s','shape':%s,'data_offsets':%s}}".formatted(type, shape, offsets);
  }

  private static void assertRefused(String header, int dataBytes, String... words) {
    assertRefused(TestFiles.safetensors(header, dataBytes), words);
  }

  private static void assertRefused(byte[] content, String... words) {
    assertThatThrownBy(() -> read(content))
        .isInstanceOf(CheckpointException.class)
        .hasMessageStartingWith("weights.safetensors")
        .hasMessageContainingAll(words);
  }

  private static List<TensorEntry> read(String header, int dataBytes) {
    return read(TestFiles.safetensors(header, dataBytes));
  }

  private static List<TensorEntry> read(byte[] content) {
    MemorySegment copy = Arena.ofAuto().allocate(content.length);
    copy.copyFrom(MemorySegment.ofArray(content));
    return SafetensorsFile.read("weights.safetensors", copy);
  }
}
