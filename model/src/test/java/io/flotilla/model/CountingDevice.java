package io.flotilla.model;

import io.flotilla.kernels.AttentionShape;
import io.flotilla.kernels.Buffer;
import io.flotilla.kernels.Device;
import io.flotilla.kernels.KvCache;
import io.flotilla.kernels.Ops;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.cpu.CpuDevice;
import java.lang.foreign.MemorySegment;

/** A CPU that knows how much was allocated on it. */
final class CountingDevice implements Device {
  private final CpuDevice cpu = CpuDevice.openScalar(1);
  private long allocated;

  long allocated() {
    return allocated;
  }

  @Override
  public String name() {
    return cpu.name();
  }

  @Override
  public Buffer allocate(long bytes) {
    allocated += bytes;
    return cpu.allocate(bytes);
  }

  @Override
  public Buffer map(MemorySegment host) {
    return cpu.map(host);
  }

  @Override
  public Stream openStream() {
    return cpu.openStream();
  }

  @Override
  public Ops ops() {
    return cpu.ops();
  }

  @Override
  public KvCache allocateKvCache(AttentionShape shape, int blocks, int blockSize) {
    return cpu.allocateKvCache(shape, blocks, blockSize);
  }

  @Override
  public long mixtureBytes(int rows, int hidden, int intermediate, int experts, int perToken) {
    return cpu.mixtureBytes(rows, hidden, intermediate, experts, perToken);
  }

  @Override
  public long kvBlockBytes(AttentionShape shape, int blockSize) {
    return cpu.kvBlockBytes(shape, blockSize);
  }

  @Override
  public long progress() {
    return cpu.progress();
  }

  @Override
  public void close() {
    cpu.close();
  }
}
