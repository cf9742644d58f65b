package io.flotilla.checkpoint;

import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * A tensor where it lies in its file.
 *
 * @param shape slowest dimension first, as in safetensors: {@code [outputs, inputs]} of a linear
 * @param data exactly the tensor's bytes, read-only
 */
public record StoredTensor(String name, ElementType type, List<Long> shape, MemorySegment data) {
  public StoredTensor {
    shape = List.copyOf(shape);
  }
}
