package io.flotilla.checkpoint;

import com.code_intelligence.jazzer.junit.FuzzTest;

/** Any bytes give a parsed file or a {@link CheckpointException}. */
class FileParsersFuzzTest {
  @FuzzTest(maxDuration = "30s")
  void safetensors(byte[] content) {
    FileFuzzing.readSafetensors(content);
  }

  @FuzzTest(maxDuration = "30s")
  void gguf(byte[] content) {
    FileFuzzing.readGguf(content);
  }
}
