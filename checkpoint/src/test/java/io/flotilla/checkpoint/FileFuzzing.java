package io.flotilla.checkpoint;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.HashMap;
import java.util.Map;

/** What a fuzz test does with a file: reads all of it that a model would. */
final class FileFuzzing {
  private FileFuzzing() {}

  /** Returns whether the file was read; false when it was refused as it should be. */
  static boolean readSafetensors(byte[] content) {
    try (Arena arena = Arena.ofConfined()) {
      for (TensorEntry tensor : SafetensorsFile.read("fuzz", mapped(arena, content))) {
        touch(tensor);
      }
      return true;
    } catch (CheckpointException e) {
      return false;
    }
  }

  /** Returns whether the file was read; false when it was refused as it should be. */
  static boolean readGguf(byte[] content) {
    try (Arena arena = Arena.ofConfined()) {
      GgufFile file = GgufFile.read("fuzz", mapped(arena, content));
      Map<String, TensorEntry> tensors = new HashMap<>();
      for (TensorEntry tensor : file.tensors()) {
        touch(tensor);
        tensors.put(tensor.name(), tensor);
        GgufNames.huggingFace(tensor.name());
      }
      GgufTokenizer tokenizer = GgufTokenizer.read(file.metadata());
      GgufConfig.generation(file.metadata());
      GgufConfig.model(file.metadata(), tensors, tokenizer);
      return true;
    } catch (CheckpointException e) {
      return false;
    }
  }

  private static MemorySegment mapped(Arena arena, byte[] content) {
    MemorySegment copy = arena.allocate(content.length);
    copy.copyFrom(MemorySegment.ofArray(content));
    return copy.asReadOnly();
  }

  private static void touch(TensorEntry tensor) {
    long bytes = tensor.data().byteSize();
    if (bytes > 0) {
      tensor.data().get(JAVA_BYTE, 0);
      tensor.data().get(JAVA_BYTE, bytes - 1);
    }
  }
}
