package io.flotilla.checkpoint;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.stream.LongStream;

/**
 * Random weights of a model's shape, for measurements without a download. Each element is a
 * function of (seed, tensor name, global element or block index) alone, so every layout of the same
 * model has the same weights. A matrix is uniform with deviation {@code 1 / sqrt(inputs)}, which
 * keeps activations near one through any number of layers; norms lie near 1, biases near 0.
 */
public final class DummyWeights implements WeightSource {
  private static final long CHUNK_BYTES = 4L << 20;
  private static final float VECTOR_DEVIATION = 0.02f;

  private final Map<String, long[]> shapes;
  private final ElementType type;
  private final long seed;
  private final Arena arena = Arena.ofShared();
  private final Map<String, StoredTensor> made = new HashMap<>();

  /**
   * @param type of the matrices; norms and biases are F32 where it is a quantised one
   * @throws CheckpointException when the architecture is not known, or a matrix has rows that are
   *     not whole blocks of {@code type}
   */
  public DummyWeights(ModelConfig config, ElementType type, long seed) {
    this.shapes = DenseLayout.tensors(config);
    this.type = type;
    this.seed = seed;
    shapes.forEach(this::requireWholeBlocks);
  }

  private void requireWholeBlocks(String name, long[] shape) {
    if (shape.length > 1 && shape[1] % type.blockElements() != 0) {
      throw new CheckpointException(
          type
              + " stores rows in blocks of "
              + type.blockElements()
              + ", but rows of "
              + name
              + " have "
              + shape[1]
              + " elements; choose another type for dummy weights, such as Q8_0 or BF16");
    }
  }

  @Override
  public boolean has(String name) {
    return shapes.containsKey(name);
  }

  @Override
  public StoredTensor tensor(String name, long... shape) {
    requireShape(name, shape);
    synchronized (made) {
      StoredTensor tensor = made.get(name);
      if (tensor == null) {
        tensor = make(name, shape);
        made.put(name, tensor);
      }
      return tensor;
    }
  }

  @Override
  public Optional<RandomTensor> random(String name, long... shape) {
    requireShape(name, shape);
    if (shape.length == 1 || type.blockElements() > 1) {
      return Optional.empty();
    }
    return Optional.of(
        new RandomTensor(DummyBlocks.key(seed, name), DummyBlocks.values(0, deviation(shape))));
  }

  private void requireShape(String name, long... shape) {
    long[] known = shapes.get(name);
    if (!Arrays.equals(known, shape)) {
      throw new CheckpointException(
          "dummy tensor "
              + name
              + (known == null
                  ? " is not part of the model"
                  : " has shape " + Arrays.toString(known))
              + "; asked for "
              + Arrays.toString(shape));
    }
  }

  private StoredTensor make(String name, long[] shape) {
    ElementType stored = typeOf(shape);
    long blocks = elements(shape) / stored.blockElements();
    MemorySegment data = allocate(name, blocks * stored.blockBytes());
    DummyBlocks filler = filler(name, shape, stored);
    long chunkBlocks = CHUNK_BYTES / stored.blockBytes() / 64 * 64;
    LongStream.range(0, (blocks + chunkBlocks - 1) / chunkBlocks)
        .parallel()
        .forEach(
            chunk ->
                filler.fill(
                    data, chunk * chunkBlocks, Math.min(blocks, (chunk + 1) * chunkBlocks)));
    return new StoredTensor(name, stored, Arrays.stream(shape).boxed().toList(), data.asReadOnly());
  }

  private DummyBlocks filler(String name, long[] shape, ElementType stored) {
    long key = DummyBlocks.key(seed, name);
    if (shape.length > 1) {
      return DummyBlocks.of(stored, key, 0, deviation(shape));
    }
    float mean = name.endsWith(".bias") ? 0 : 1;
    return DummyBlocks.of(stored, key, mean, VECTOR_DEVIATION);
  }

  private static float deviation(long[] matrix) {
    return (float) (1 / Math.sqrt((double) matrix[1]));
  }

  private MemorySegment allocate(String name, long bytes) {
    try {
      return arena.allocate(bytes, 64);
    } catch (OutOfMemoryError e) {
      throw new CheckpointException(
          "no memory for the "
              + bytes
              + " bytes of dummy tensor "
              + name
              + " ("
              + totalBytes()
              + " for all of them); raise -XX:MaxDirectMemorySize or choose a smaller model",
          e);
    }
  }

  private ElementType typeOf(long[] shape) {
    return shape.length == 1 && type.blockElements() > 1 ? ElementType.F32 : type;
  }

  private static long elements(long[] shape) {
    return Arrays.stream(shape).reduce(1, Math::multiplyExact);
  }

  @Override
  public long totalBytes() {
    return shapes.values().stream().mapToLong(this::bytes).sum();
  }

  private long bytes(long[] shape) {
    ElementType stored = typeOf(shape);
    return elements(shape) / stored.blockElements() * stored.blockBytes();
  }

  @Override
  public void close() {
    arena.close();
  }
}
