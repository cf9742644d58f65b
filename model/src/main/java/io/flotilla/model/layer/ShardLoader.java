package io.flotilla.model.layer;

import io.flotilla.checkpoint.CheckpointException;
import io.flotilla.checkpoint.ElementType;
import io.flotilla.checkpoint.RandomTensor;
import io.flotilla.checkpoint.StoredTensor;
import io.flotilla.checkpoint.WeightSource;
import io.flotilla.kernels.Collectives;
import io.flotilla.kernels.Device;
import io.flotilla.kernels.MatrixSource;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import io.flotilla.kernels.TensorType;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;

/**
 * Brings one rank's shard of the weights to its device. Matrices are kept as the device keeps them;
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
  private final StageRanks ranks;
  private final boolean expertParallel;
  private final Map<String, Long> mapped = new HashMap<>();
  private long widenedBytes;

  /** A loader of whole layers, for one rank. */
  public ShardLoader(WeightSource source, Device device, Stream stream, TensorParallel parallel) {
    this(source, device, stream, StageRanks.split(parallel, Collectives.ALONE), false);
  }

  /**
   * A loader of one rank's part of each layer.
   *
   * @param ranks of the stage, and this one's place among them
   * @param expertParallel whether each has some experts whole, not a part of each
   */
  public ShardLoader(
      WeightSource source, Device device, Stream stream, StageRanks ranks, boolean expertParallel) {
    this.source = source;
    this.device = device;
    this.stream = stream;
    this.parallel = ranks.tensor();
    this.ranks = ranks;
    this.expertParallel = expertParallel;
  }

  public Device device() {
    return device;
  }

  public TensorParallel parallel() {
    return parallel;
  }

  /** The ranks of the stage, and this one's place among them. */
  public StageRanks ranks() {
    return ranks;
  }

  /** Joins the ranks that split each layer. */
  public Collectives collectives() {
    return ranks.layers();
  }

  /** Whether each rank has some experts whole, not a part of each. */
  public boolean isExpertParallel() {
    return expertParallel;
  }

  /** Bytes, as the device keeps them, of the parts of tensors loaded so far, each counted once. */
  public long mappedBytes() {
    return mapped.values().stream().mapToLong(Long::longValue).sum();
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
    int share = parallel.share(rows, "rows of " + name);
    return rows(name, rows, columns, new Share(parallel.rank() * share, share));
  }

  /**
   * Some rows of the matrix {@code [rows, columns]}.
   *
   * @throws CheckpointException when the matrix is missing or has another shape
   */
  public Tensor rows(String name, int rows, int columns, Share share) {
    return rows(columns, List.of(new Rows(name, rows, share))).getFirst();
  }

  /**
   * Some rows of a matrix.
   *
   * @param rows of the whole
   */
  public record Rows(String name, int rows, Share share) {}

  /**
   * Some rows of matrices of one input, brought to the device together.
   *
   * @param columns of each of them
   * @throws CheckpointException when one is missing or has another shape
   */
  public List<Tensor> rows(int columns, List<Rows> matrices) {
    List<MatrixSource> parts = new ArrayList<>();
    for (Rows matrix : matrices) {
      MatrixSource whole = matrix(matrix.name, matrix.rows, columns);
      parts.add(whole.sliceRows(matrix.share.first(), matrix.share.count()));
    }
    List<Tensor> loaded = device.load(parts);
    for (int i = 0; i < loaded.size(); i++) {
      // A head may be a smaller part of the embedding, where it is tied to it.
      long bytes = loaded.get(i).rows() * loaded.get(i).rowBytes();
      mapped.merge(matrices.get(i).name, bytes, Math::max);
    }
    return loaded;
  }

  /**
   * This rank's columns of the matrix {@code [rows, columns]}.
   *
   * @throws CheckpointException when the matrix is missing or has another shape
   * @throws IllegalArgumentException when the columns cannot be shared evenly, in whole blocks
   */
  public Tensor columnShard(String name, int rows, int columns) {
    int share = parallel.share(columns, "columns of " + name);
    return columns(List.of(name), rows, columns, new Share(parallel.rank() * share, share))
        .getFirst();
  }

  /**
   * Some columns of matrices {@code [rows, columns]}, brought to the device together.
   *
   * @throws CheckpointException when one is missing or has another shape
   * @throws IllegalArgumentException when the columns are no whole blocks
   */
  public List<Tensor> columns(List<String> names, int rows, int columns, Share share) {
    List<MatrixSource> parts = new ArrayList<>();
    for (String name : names) {
      MatrixSource whole = matrix(name, rows, columns);
      requireWholeBlocks(name, columns, share.count(), type(whole));
      parts.add(whole.sliceColumns(share.first(), share.count()));
    }
    List<Tensor> loaded = device.load(parts);
    for (int i = 0; i < loaded.size(); i++) {
      mapped.put(names.get(i), rows * loaded.get(i).type().bytes(share.count()));
    }
    return loaded;
  }

  private void requireWholeBlocks(String name, int columns, int share, TensorType type) {
    int block = type.blockElements();
    if (share % block != 0) {
      throw new IllegalArgumentException(
          ("--tensor-parallel-size %d splits the %d columns of %s into parts of %d, no whole blocks"
                  + " of %d (%s): use fewer ranks, or a file of another type")
              .formatted(parallel.size(), columns, name, share, block, type));
    }
  }

  /**
   * A whole vector, as F32 {@code [1, length]}.
   *
   * @throws CheckpointException when it is missing, has another length or is quantised
   */
  public Tensor vector(String name, int length) {
    return elements(name, length, new Share(0, length));
  }

  /**
   * This rank's part of a vector, as F32 {@code [1, length / size]}.
   *
   * @throws CheckpointException when it is missing, has another length or is quantised
   */
  public Tensor vectorShard(String name, int length) {
    int share = parallel.share(length, "elements of " + name);
    return elements(name, length, new Share(parallel.rank() * share, share));
  }

  /**
   * Some elements of a vector, as F32 {@code [1, share.count()]}.
   *
   * @throws CheckpointException when it is missing, has another length or is quantised
   */
  public Tensor elements(String name, int length, Share share) {
    StoredTensor stored = source.tensor(name, length);
    Tensor widened = widen(stored, share.first(), share.count());
    mapped.put(name, (long) share.count() * stored.type().blockBytes());
    return widened;
  }

  /** Puts what is computed on the host into a tensor's memory. */
  void fill(Tensor tensor, Consumer<MemorySegment> values) {
    stream.fill(tensor.buffer(), values);
  }

  private static TensorType type(MatrixSource matrix) {
    return matrix instanceof MatrixSource.Stored stored ? stored.type() : TensorType.BF16;
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
    Tensor tensor = Tensor.allocate(device, TensorType.F32, 1, count);
    fill(
        tensor,
        values -> {
          for (int i = 0; i < count; i++) {
            values.setAtIndex(ValueLayout.JAVA_FLOAT, i, element(stored, from + i));
          }
        });
    widenedBytes += tensor.rowBytes();
    return tensor;
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
