package io.flotilla.generation;

import io.flotilla.kernels.AttentionShape;
import io.flotilla.kernels.Buffer;
import io.flotilla.kernels.Device;
import io.flotilla.kernels.DeviceMemory;
import io.flotilla.kernels.KvCache;
import io.flotilla.kernels.Ops;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.TensorType;
import java.lang.foreign.MemorySegment;
import java.util.Optional;

/**
 * A GPU that is not here, for plans: it says how it would store things, in bf16 throughout.
 *
 * @param bytes of memory
 */
record DescribedGpu(long bytes) implements Device {
  private static final int BF16 = 2;

  @Override
  public String name() {
    return "a GPU of %.1f GiB".formatted(bytes / (double) (1 << 30));
  }

  @Override
  public TensorType activationType() {
    return TensorType.BF16;
  }

  @Override
  public long kvBlockBytes(AttentionShape shape, int blockSize) {
    return 2L * BF16 * shape.kvHeads() * shape.headDim() * blockSize;
  }

  @Override
  public long mixtureBytes(int rows, int hidden, int intermediate, int experts, int perToken) {
    return (long) rows * perToken * GpuMemoryBudget.pairBytes(hidden, intermediate);
  }

  @Override
  public Optional<DeviceMemory> memory() {
    return Optional.of(new DeviceMemory(bytes, bytes));
  }

  @Override
  public Buffer allocate(long length) {
    throw notHere();
  }

  @Override
  public Buffer map(MemorySegment host) {
    throw notHere();
  }

  @Override
  public Stream openStream() {
    throw notHere();
  }

  @Override
  public Ops ops() {
    throw notHere();
  }

  @Override
  public KvCache allocateKvCache(AttentionShape shape, int blocks, int blockSize) {
    throw notHere();
  }

  @Override
  public long progress() {
    return 0;
  }

  @Override
  public void close() {}

  private static UnsupportedOperationException notHere() {
    return new UnsupportedOperationException("the device is described, not here");
  }
}
