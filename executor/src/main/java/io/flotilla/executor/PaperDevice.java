package io.flotilla.executor;

import io.flotilla.kernels.AttentionShape;
import io.flotilla.kernels.Buffer;
import io.flotilla.kernels.Device;
import io.flotilla.kernels.KvCache;
import io.flotilla.kernels.MatrixSource;
import io.flotilla.kernels.Ops;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import io.flotilla.kernels.TensorType;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.function.Consumer;

/**
 * A device of which only the sizes exist: it has no memory and computes nothing, but counts what it
 * would read and multiply. What is loaded on it takes the space it would take on a real one.
 */
final class PaperDevice implements Device {
  private final Device like;
  private final PaperOps ops;
  private final PaperRouting routing;

  /**
   * @param like the device whose types and layouts it has; only asked, never used
   * @param routing says which rows go to the ranks of their experts
   */
  PaperDevice(Device like, StepWork work, PaperRouting routing) {
    this.like = like;
    this.ops = new PaperOps(work, routing);
    this.routing = routing;
  }

  private record PaperBuffer(long bytes) implements Buffer {
    @Override
    public Buffer slice(long offset, long length) {
      Objects.checkFromIndexSize(offset, length, bytes);
      return new PaperBuffer(length);
    }
  }

  @Override
  public String name() {
    return like.name() + ", on paper";
  }

  @Override
  public Buffer allocate(long bytes) {
    return new PaperBuffer(bytes);
  }

  @Override
  public Buffer map(MemorySegment host) {
    return new PaperBuffer(host.byteSize());
  }

  @Override
  public List<Tensor> load(List<MatrixSource> matrices) {
    List<Tensor> loaded = new ArrayList<>();
    for (MatrixSource matrix : matrices) {
      TensorType type = keptType(matrix);
      int stride = matrix.columns();
      loaded.add(Tensor.allocate(this, type, matrix.rows(), stride));
    }
    return loaded;
  }

  /** A device that computes in a narrower type than F32 converts what it loads to that. */
  private TensorType keptType(MatrixSource matrix) {
    TensorType computed = activationType();
    return switch (matrix) {
      case MatrixSource.Stored stored when computed == TensorType.F32 -> stored.type();
      case MatrixSource.Random _ when computed == TensorType.F32 -> TensorType.BF16;
      case MatrixSource.Stored _, MatrixSource.Random _ -> computed;
    };
  }

  @Override
  public boolean makesRandom() {
    return true;
  }

  @Override
  public TensorType activationType() {
    return like.activationType();
  }

  @Override
  public int paddedRows(int rows) {
    return like.paddedRows(rows);
  }

  @Override
  public Stream openStream() {
    return new PaperStream(routing);
  }

  @Override
  public Ops ops() {
    return ops;
  }

  @Override
  public KvCache allocateKvCache(AttentionShape shape, int blocks, int blockSize) {
    Buffer memory = allocate(Math.multiplyExact(kvBlockBytes(shape, blockSize), (long) blocks));
    return new KvCache(shape, blocks, blockSize, memory, memory);
  }

  @Override
  public long mixtureBytes(int rows, int hidden, int intermediate, int experts, int perToken) {
    return like.mixtureBytes(rows, hidden, intermediate, experts, perToken);
  }

  @Override
  public long kvBlockBytes(AttentionShape shape, int blockSize) {
    return like.kvBlockBytes(shape, blockSize);
  }

  @Override
  public long progress() {
    return 0;
  }

  @Override
  public void close() {}

  private record PaperStream(PaperRouting routing) implements Stream {
    @Override
    public void upload(MemorySegment from, Buffer to) {}

    @Override
    public void fill(Buffer to, Consumer<MemorySegment> values) {}

    @Override
    public void download(Buffer from, MemorySegment to) {
      routing.answer(to);
    }

    @Override
    public void synchronize() {}

    @Override
    public void close() {}
  }
}
