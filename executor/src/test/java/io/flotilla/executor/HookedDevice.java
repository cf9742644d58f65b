package io.flotilla.executor;

import io.flotilla.kernels.AttentionBatch;
import io.flotilla.kernels.AttentionShape;
import io.flotilla.kernels.Buffer;
import io.flotilla.kernels.Device;
import io.flotilla.kernels.KvCache;
import io.flotilla.kernels.Ops;
import io.flotilla.kernels.RopeTable;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import io.flotilla.kernels.cpu.CpuDevice;
import java.lang.foreign.MemorySegment;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** A CPU on which something happens at the start of every step: it waits, or it breaks. */
final class HookedDevice implements Device {
  private final CpuDevice cpu = CpuDevice.open(1);
  private final Runnable hook;
  private volatile boolean closed;

  /**
   * @param hook runs on the rank's thread before the embedding of a step's tokens
   */
  HookedDevice(Runnable hook) {
    this.hook = hook;
  }

  boolean closed() {
    return closed;
  }

  @Override
  public String name() {
    return cpu.name();
  }

  @Override
  public Buffer allocate(long bytes) {
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
    return new HookedOps(cpu.ops(), hook);
  }

  @Override
  public KvCache allocateKvCache(AttentionShape shape, int blocks, int blockSize) {
    return cpu.allocateKvCache(shape, blocks, blockSize);
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
    closed = true;
    cpu.close();
  }

  private record HookedOps(Ops ops, Runnable hook) implements Ops {
    @Override
    public void embed(Stream stream, Tensor table, Tensor ids, Tensor out) {
      hook.run();
      ops.embed(stream, table, ids, out);
    }

    @Override
    public void rmsNorm(Stream stream, Tensor x, Tensor weight, float epsilon, Tensor out) {
      ops.rmsNorm(stream, x, weight, epsilon, out);
    }

    @Override
    public void addRmsNorm(
        Stream stream, Tensor residual, Tensor delta, Tensor weight, float epsilon, Tensor out) {
      ops.addRmsNorm(stream, residual, delta, weight, epsilon, out);
    }

    @Override
    public void linear(
        Stream stream, Tensor x, List<Tensor> weights, @Nullable List<Tensor> biases, Tensor out) {
      ops.linear(stream, x, weights, biases, out);
    }

    @Override
    public void rotateAndStore(
        Stream stream,
        Tensor qkv,
        @Nullable Tensor queryNorm,
        @Nullable Tensor keyNorm,
        float epsilon,
        RopeTable rope,
        AttentionBatch batch,
        KvCache cache) {
      ops.rotateAndStore(stream, qkv, queryNorm, keyNorm, epsilon, rope, batch, cache);
    }

    @Override
    public void attention(
        Stream stream,
        Tensor queries,
        KvCache cache,
        AttentionBatch batch,
        float scale,
        Tensor out) {
      ops.attention(stream, queries, cache, batch, scale, out);
    }

    @Override
    public void siluMultiply(Stream stream, Tensor gateUp, Tensor out) {
      ops.siluMultiply(stream, gateUp, out);
    }

    @Override
    public void gatherRows(Stream stream, Tensor x, Tensor rows, Tensor out) {
      ops.gatherRows(stream, x, rows, out);
    }
  }
}
