package io.flotilla.checkpoint;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.channels.FileChannel.MapMode;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/** A whole file, mapped read-only. */
final class MappedFile {
  private MappedFile() {}

  /**
   * Maps a file until the arena is closed.
   *
   * @throws CheckpointException when it is missing, unreadable or empty
   */
  static MemorySegment map(Path path, Arena arena) {
    try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
      long size = channel.size();
      if (size == 0) {
        throw new CheckpointException(path + " is empty; download it again");
      }
      return channel.map(MapMode.READ_ONLY, 0, size, arena);
    } catch (NoSuchFileException e) {
      throw new CheckpointException(path + " is missing", e);
    } catch (IOException e) {
      throw new CheckpointException(path + " cannot be mapped: " + e, e);
    }
  }
}
