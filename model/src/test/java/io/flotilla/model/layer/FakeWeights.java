package io.flotilla.model.layer;

import io.flotilla.checkpoint.CheckpointException;
import io.flotilla.checkpoint.ElementType;
import io.flotilla.checkpoint.StoredTensor;
import io.flotilla.checkpoint.WeightSource;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Tensors a test wrote down. They lie at odd addresses, as in a file. */
final class FakeWeights implements WeightSource {
  private final Arena arena = Arena.ofShared();
  private final Map<String, StoredTensor> tensors = new HashMap<>();

  FakeWeights floats(String name, List<Long> shape, float... values) {
    MemorySegment data = allocate(4L * values.length);
    for (int i = 0; i < values.length; i++) {
      data.set(ValueLayout.JAVA_FLOAT_UNALIGNED, 4L * i, values[i]);
    }
    return put(new StoredTensor(name, ElementType.F32, shape, data));
  }

  /** A vector of 16-bit values. */
  FakeWeights shorts(String name, ElementType type, int... bits) {
    MemorySegment data = allocate(2L * bits.length);
    for (int i = 0; i < bits.length; i++) {
      data.set(ValueLayout.JAVA_SHORT_UNALIGNED, 2L * i, (short) bits[i]);
    }
    return put(new StoredTensor(name, type, List.of((long) bits.length), data));
  }

  /** Zeros of a quantised type. */
  FakeWeights blocks(String name, ElementType type, List<Long> shape, int bytes) {
    return put(new StoredTensor(name, type, shape, allocate(bytes)));
  }

  private MemorySegment allocate(long bytes) {
    return arena.allocate(bytes + 1).asSlice(1);
  }

  private FakeWeights put(StoredTensor tensor) {
    tensors.put(tensor.name(), tensor);
    return this;
  }

  @Override
  public boolean has(String name) {
    return tensors.containsKey(name);
  }

  @Override
  public StoredTensor tensor(String name, long... shape) {
    StoredTensor tensor = tensors.get(name);
    if (tensor == null || !tensor.shape().equals(Arrays.stream(shape).boxed().toList())) {
      throw new CheckpointException(name + " is missing or misshapen");
    }
    return tensor;
  }

  @Override
  public long totalBytes() {
    return tensors.values().stream().mapToLong(tensor -> tensor.data().byteSize()).sum();
  }

  @Override
  public void close() {
    arena.close();
  }
}
