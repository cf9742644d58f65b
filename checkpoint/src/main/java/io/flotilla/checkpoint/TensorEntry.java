package io.flotilla.checkpoint;

import java.lang.foreign.MemorySegment;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A tensor that a file holds.
 *
 * @param file the file, for messages
 * @param type null where the file's type is one that weights cannot have
 * @param typeName the type as the file calls it
 * @param shape slowest dimension first
 * @param data exactly the tensor's bytes
 */
record TensorEntry(
    String file,
    String name,
    @Nullable ElementType type,
    String typeName,
    List<Long> shape,
    MemorySegment data) {
  TensorEntry {
    shape = List.copyOf(shape);
  }
}
