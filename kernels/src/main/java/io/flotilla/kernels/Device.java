package io.flotilla.kernels;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * What one rank owns: a GPU, or a fixed set of CPU cores. A device's memory lives until the device
 * is closed. All methods are called by the rank's thread.
 */
public interface Device extends AutoCloseable {
  /** For logs and error messages, such as {@code cpu (2 threads, Vector API, 512 bit)}. */
  String name();

  /**
   * Zeroed memory, aligned to 64 bytes.
   *
   * @throws OutOfMemoryError naming the bytes asked for, when there is not that much
   */
  Buffer allocate(long bytes);

  /**
   * Makes host memory readable on the device: in place where the device can read it (a CPU), by a
   * copy where it cannot. The caller keeps the segment alive as long as the device.
   */
  Buffer map(MemorySegment host);

  /**
   * Brings matrices that are used together to the device: in place where it can read them, else
   * converted to a type it multiplies, one after the other in its memory. Equal sources may give
   * the same memory. The caller keeps stored data alive as long as the device.
   */
  default List<Tensor> load(List<MatrixSource> matrices) {
    List<Tensor> loaded = new ArrayList<>();
    for (MatrixSource matrix : matrices) {
      switch (matrix) {
        case MatrixSource.Stored(var data, var type, int rows, int columns, int stride) ->
            loaded.add(new Tensor(map(data), type, rows, columns, stride));
        case MatrixSource.Random _ ->
            throw new IllegalArgumentException(name() + " does not make random matrices");
      }
    }
    return loaded;
  }

  /** Whether {@link #load} makes {@link MatrixSource.Random} itself. */
  default boolean makesRandom() {
    return false;
  }

  /** The type of activations between operations; sums of them and logits are F32 everywhere. */
  default TensorType activationType() {
    return TensorType.F32;
  }

  /**
   * Rows, or sequences, that a small step of {@code rows} is padded to, so that few records (see
   * {@link Stream#repeat}) serve all steps. A padding row is at position -1: nothing is stored for
   * it, and what it yields is never read.
   */
  default int paddedRows(int rows) {
    return rows;
  }

  /**
   * Zeroed host memory that copies from and to this device are fast with, while the arena lives.
   */
  default MemorySegment allocateHost(Arena arena, long bytes) {
    return arena.allocate(bytes, 64);
  }

  /** Sampling on the device, where it has that. */
  default Optional<TokenSampling> sampling() {
    return Optional.empty();
  }

  /** The memory that limits this device; empty where it is the host's. */
  default Optional<DeviceMemory> memory() {
    return Optional.empty();
  }

  /** Makes the calling thread the rank's own: called once by it, before anything else. */
  default void attach() {}

  /** A queue of work for this device. */
  Stream openStream();

  /** The operations of this device. */
  Ops ops();

  /** The layout of one layer's KV cache on this device, in {@code blocks} pages. */
  KvCache allocateKvCache(AttentionShape shape, int blocks, int blockSize);

  /** Bytes of one block of one layer's KV cache, keys and values together. */
  long kvBlockBytes(AttentionShape shape, int blockSize);

  /**
   * Bytes of memory that {@link Ops#mixExperts} works in.
   *
   * @param rows at most
   * @param intermediate columns between the matrices of an expert
   * @param experts of the model, of which {@code perToken} compute a row
   */
  long mixtureBytes(int rows, int hidden, int intermediate, int experts, int perToken);

  /**
   * A number that grows while operations make progress (on a CPU, once a tile), so that a slow
   * operation can be told from a hung one. Readable from any thread.
   */
  long progress();

  @Override
  void close();
}
