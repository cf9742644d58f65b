package io.flotilla.model.layer;

import io.flotilla.checkpoint.CheckpointException;
import io.flotilla.checkpoint.ElementType;
import io.flotilla.checkpoint.RandomTensor;
import io.flotilla.checkpoint.StoredTensor;
import io.flotilla.checkpoint.WeightSource;
import io.flotilla.kernels.Buffer;
import io.flotilla.kernels.Device;
import io.flotilla.kernels.MatrixSource;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import io.flotilla.kernels.TensorType;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Brings one rank's shard of the weights to its device. Matrices are used as the device keeps them;
 * vectors (norm weights, biases) are widened to F32.
 */
public final class ShardLoader {
  private static final ValueLayout.OfShort SHORT =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfFloat FLOAT =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private final WeightSource source;
  private final Device device;
  private final Stream stream;
  private final TensorParallel parallel;
  private long widenedBytes;

  public ShardLoader(WeightSource source, Device device, Stream stream, TensorParallel parallel) {
    this.source = source;
    this.device = device;
    this.stream = stream;
    this.parallel = parallel;
  }

  public Device device() {
    return device;
  }

  public TensorParallel parallel() {
    return parallel;
  }

  /** Bytes of the F32 copies made so far. */
  public long widenedBytes() {
    return widenedBytes;
  }

  /**
   * This rank's rows of the matrix {@code [rows, columns]}.
   *
   * @throws CheckpointException when the matrix is missing or has another shape
   * @throws IllegalArgumentException when the rows cannot be shared evenly
   */
  public Tensor rowShard(String name, int rows, int columns) {
    return rowShards(List.of(name), List.of(rows), columns).getFirst();
  }

  /**
   * This rank's rows of matrices of one input, brought to the device together.
   *
   * @param rows of each of them
   * @throws CheckpointException when one is missing or has another shape
   * @throws IllegalArgumentException when the rows cannot be shared evenly
   */
  public List<Tensor> rowShards(List<String> names, List<Integer> rows, int columns) {
    List<MatrixSource> shards = new ArrayList<>();
    for (int i = 0; i < names.size(); i++) {
      int share = parallel.share(rows.get(i), "rows of " + names.get(i));
      MatrixSource whole = matrix(names.get(i), rows.get(i), columns);
      shards.add(whole.sliceRows(parallel.rank() * share, share));
    }
    return device.load(shards);
  }

  /**
   * This rank's columns of the matrix {@code [rows, columns]}.
   *
   * @throws CheckpointException when the matrix is missing or has another shape
   * @throws IllegalArgumentException when the columns cannot be shared evenly
   */
  public Tensor columnShard(String name, int rows, int columns) {
    int share = parallel.share(columns, "columns of " + name);
    MatrixSource shard = matrix(name, rows, columns).sliceColumns(parallel.rank() * share, share);
    return device.load(List.of(shard)).getFirst();
  }

  /**
   * A whole vector, as F32 {@code [1, length]}.
   *
   * @throws CheckpointException when it is missing, has another length or is quantised
   */
  public Tensor vector(String name, int length) {
    return widen(source.tensor(name, length), 0, length);
  }

  /**
   * This rank's part of a vector, as F32 {@code [1, length / size]}.
   *
   * @throws CheckpointException when it is missing, has another length or is quantised
   */
  public Tensor vectorShard(String name, int length) {
    int share = parallel.share(length, "elements of " + name);
    return widen(source.tensor(name, length), parallel.rank() * share, share);
  }

  /** Copies host memory to the device and waits for the copy. */
  void upload(MemorySegment from, Buffer to) {
    stream.upload(from, to);
    stream.synchronize();
  }

  private MatrixSource matrix(String name, int rows, int columns) {
    Optional<RandomTensor> random =
        device.makesRandom() ? source.random(name, rows, columns) : Optional.empty();
    if (random.isPresent()) {
      return new MatrixSource.Random(
          random.get().key(), random.get().values(), 0, rows, columns, columns);
    }
    StoredTensor stored = source.tensor(name, rows, columns);
    TensorType type = TensorType.valueOf(stored.type().name());
    if (columns % type.blockElements() != 0) {
      throw new CheckpointException(
          name + " has rows of " + columns + ", which do not fill blocks of " + type);
    }
    return new MatrixSource.Stored(stored.data(), type, rows, columns, columns);
  }

  private Tensor widen(StoredTensor stored, int from, int count) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment values = arena.allocate(ValueLayout.JAVA_FLOAT, count);
      for (int i = 0; i < count; i++) {
        values.setAtIndex(ValueLayout.JAVA_FLOAT, i, element(stored, from + i));
      }
      Tensor tensor = Tensor.allocate(device, TensorType.F32, 1, count);
      upload(values, tensor.buffer());
      widenedBytes += tensor.rowBytes();
      return tensor;
    }
  }

  private static float element(StoredTensor stored, int index) {
    MemorySegment data = stored.data();
    ElementType type = stored.type();
    return switch (type) {
      case F32 -> data.get(FLOAT, 4L * index);
      case F16 -> Float.float16ToFloat(data.get(SHORT, 2L * index));
      case BF16 -> Float.intBitsToFloat(data.get(SHORT, 2L * index) << 16);
      case Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K, Q6_K ->
          throw new CheckpointException(
              stored.name() + " is a vector of " + type + "; vectors are F32, F16 or BF16");
    };
  }
}
