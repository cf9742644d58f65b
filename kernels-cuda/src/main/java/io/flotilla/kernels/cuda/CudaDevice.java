package io.flotilla.kernels.cuda;

import io.flotilla.kernels.AttentionShape;
import io.flotilla.kernels.Buffer;
import io.flotilla.kernels.Device;
import io.flotilla.kernels.DeviceMemory;
import io.flotilla.kernels.KvCache;
import io.flotilla.kernels.MatrixSource;
import io.flotilla.kernels.MatrixSource.Random;
import io.flotilla.kernels.MatrixSource.Stored;
import io.flotilla.kernels.Ops;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import io.flotilla.kernels.TensorType;
import io.flotilla.kernels.TokenSampling;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.LongConsumer;
import org.jspecify.annotations.Nullable;

/**
 * One GPU. Matrices are kept in bf16, whatever they were stored as; activations and the KV cache
 * are bf16 too. The context belongs to a thread: the device is opened on first use, by the thread
 * that uses it.
 */
final class CudaDevice implements Device {
  private static final int HOPPER = 9;
  private static final int DELAY_CYCLES = 200_000; // Some 110 us.

  private final Arena arena = Arena.ofShared();
  private final CudaSetup setup;
  private final int ordinal;
  private final AtomicInteger sharers;
  private final String name;
  private final List<Long> allocations = new ArrayList<>();
  private final List<MemorySegment> hostMemory = new ArrayList<>();
  private final List<Long> events = new ArrayList<>();
  private final List<HostSignal> signals = new ArrayList<>();
  private final Map<Object, Tensor> loaded = new HashMap<>();
  private @Nullable PinnedRing ring;
  private @Nullable Opened opened;
  private @Nullable Thread entered;

  /**
   * @param sharers counts the devices that are open on the same GPU, this one from here on
   */
  CudaDevice(CudaSetup setup, int ordinal, AtomicInteger sharers) {
    sharers.incrementAndGet();
    this.sharers = sharers;
    this.setup = setup;
    this.ordinal = ordinal;
    this.name = "cuda:" + ordinal + " (" + setup.driver().deviceName(ordinal) + ")";
  }

  /** What exists once the thread has the context. */
  private record Opened(
      long context, long kernels, Launcher launcher, CublasLt cublas, long stream, Ops ops) {}

  private Opened opened() {
    Opened current = opened;
    if (current == null) {
      current = open();
      opened = current;
    } else if (entered != Thread.currentThread()) {
      setup.driver().enterContext(current.context);
    }
    entered = Thread.currentThread();
    return current;
  }

  private Opened open() {
    Driver driver = setup.driver();
    long context = driver.retainContext(ordinal);
    driver.enterContext(context);
    long kernels = driver.loadKernels(setup.kernels(arena));
    Launcher launcher = new Launcher(driver, ordinal, kernels, setup.overlap(), arena);
    long workspace = allocated(CublasLt.workspaceBytes());
    LongConsumer delay =
        stream ->
            launcher.number(DELAY_CYCLES).launchAlone("delay", Launcher.Grid.of(1, 1), stream);
    CublasLt cublas = new CublasLt(driver, delay, setup.cublasLt(), workspace, arena);
    int multiprocessors = driver.attribute(ordinal, Driver.MULTIPROCESSORS);
    boolean hopper =
        setup.warpgroups() && driver.attribute(ordinal, Driver.COMPUTE_CAPABILITY_MAJOR) == HOPPER;
    Ops ops =
        new CudaOps(
            launcher,
            new CudaLinear(launcher, cublas, multiprocessors),
            new CudaAttention(launcher, this, multiprocessors, hopper),
            new CudaExperts(launcher, hopper));
    return new Opened(context, kernels, launcher, cublas, driver.createStream(), ops);
  }

  @Override
  public String name() {
    return name;
  }

  @Override
  public Buffer allocate(long bytes) {
    Opened device = opened();
    long address = allocated(bytes);
    setup.driver().clear(address, Math.max(bytes, 1), device.stream);
    setup.driver().synchronize(device.stream);
    return new CudaBuffer(address, bytes);
  }

  private long allocated(long bytes) {
    long address = setup.driver().allocate(Math.max(bytes, 1));
    if (address == 0) {
      long[] memory = setup.driver().memory();
      throw new OutOfMemoryError(
          "%s cannot allocate %d bytes: %d of its %d are free"
              .formatted(name, bytes, memory[0], memory[1]));
    }
    allocations.add(address);
    return address;
  }

  @Override
  public Buffer map(MemorySegment host) {
    Buffer buffer = allocate(host.byteSize());
    setup.driver().copyToDevice(CudaBuffer.address(buffer), host, host.byteSize(), opened().stream);
    setup.driver().synchronize(opened().stream);
    return buffer;
  }

  @Override
  public List<Tensor> load(List<MatrixSource> matrices) {
    if (matrices.size() == 1) {
      // A tied table is asked for as embedding and as head.
      MatrixSource only = matrices.getFirst();
      return List.of(loaded.computeIfAbsent(key(only), _ -> bring(matrices).getFirst()));
    }
    return bring(matrices);
  }

  private static Object key(MatrixSource matrix) {
    return switch (matrix) {
      case Stored(var data, _, int rows, int columns, _) -> List.of(data.address(), rows, columns);
      case Random(long key, _, long first, int rows, int columns, _) ->
          List.of(key, first, rows, columns);
    };
  }

  private List<Tensor> bring(List<MatrixSource> matrices) {
    long bytes = 0;
    for (MatrixSource matrix : matrices) {
      bytes += bytes(matrix);
    }
    Opened device = opened();
    CudaBuffer slab = new CudaBuffer(allocated(bytes), bytes);
    long stage = setup.driver().allocate(MatrixUpload.stageBytes());
    MatrixUpload upload =
        new MatrixUpload(
            setup.driver(),
            device.launcher,
            device.stream,
            new CudaBuffer(stage, MatrixUpload.stageBytes()),
            ring());
    List<Tensor> tensors = new ArrayList<>();
    long offset = 0;
    for (MatrixSource matrix : matrices) {
      CudaBuffer part = slab.slice(offset, bytes(matrix));
      upload.bring(matrix, part.address());
      tensors.add(Tensor.of(part, TensorType.BF16, matrix.rows(), matrix.columns()));
      offset += part.bytes();
    }
    upload.await();
    setup.driver().free(stage);
    return tensors;
  }

  private PinnedRing ring() {
    PinnedRing current = ring;
    if (current == null) {
      current = new PinnedRing(setup.driver());
      ring = current;
    }
    return current;
  }

  private static long bytes(MatrixSource matrix) {
    return TensorType.BF16.bytes((long) matrix.rows() * matrix.columns());
  }

  @Override
  public boolean makesRandom() {
    return true;
  }

  @Override
  public TensorType activationType() {
    return TensorType.BF16;
  }

  @Override
  public int paddedRows(int rows) {
    return CublasLt.roundedRows(rows);
  }

  @Override
  public MemorySegment allocateHost(Arena lifetime, long bytes) {
    opened();
    MemorySegment memory = setup.driver().allocateHost(Math.max(bytes, 1));
    hostMemory.add(memory);
    return memory.fill((byte) 0);
  }

  @Override
  public Optional<TokenSampling> sampling() {
    return Optional.of(new CudaSampling(opened().launcher));
  }

  @Override
  public Optional<DeviceMemory> memory() {
    opened();
    long[] memory = setup.driver().memory();
    return Optional.of(new DeviceMemory(memory[1], memory[0]));
  }

  @Override
  public Stream openStream() {
    return new CudaStream(setup.driver(), opened().launcher);
  }

  @Override
  public Ops ops() {
    return opened().ops;
  }

  @Override
  public KvCache allocateKvCache(AttentionShape shape, int blocks, int blockSize) {
    long half = Math.multiplyExact(kvBlockBytes(shape, blockSize) / 2, blocks);
    return new KvCache(shape, blocks, blockSize, allocate(half), allocate(half));
  }

  @Override
  public long mixtureBytes(int rows, int hidden, int intermediate, int experts, int perToken) {
    return CudaExperts.bytes(rows, hidden, intermediate, experts, perToken);
  }

  @Override
  public long kvBlockBytes(AttentionShape shape, int blockSize) {
    if (blockSize < CudaAttention.PAGE || Integer.bitCount(blockSize) != 1) {
      throw new IllegalArgumentException(
          "--block-size " + blockSize + " is not supported: on a GPU it is a power of two from 16");
    }
    if (shape.headDim() != 64 && shape.headDim() != 128) {
      throw new IllegalArgumentException(
          "heads of " + shape.headDim() + " elements are not supported on a GPU: 64 and 128 are");
    }
    return 2 * TensorType.BF16.bytes((long) shape.kvHeads() * blockSize * shape.headDim());
  }

  Driver driver() {
    return setup.driver();
  }

  Launcher launcher() {
    return opened().launcher;
  }

  /** An event that lives as long as the device. */
  long createEvent() {
    opened();
    long event = setup.driver().createEvent();
    events.add(event);
    return event;
  }

  /** A signal that lives as long as the device. */
  HostSignal openSignal() {
    opened();
    HostSignal signal = new HostSignal(setup.driver());
    signals.add(signal);
    return signal;
  }

  /** Whether its GPU is another device's of this process too. */
  boolean isShared() {
    return sharers.get() > 1;
  }

  /**
   * Refuses a device whose memory this one cannot read.
   *
   * @throws IllegalArgumentException naming both
   */
  void requireReach(CudaDevice peer) {
    if (peer.ordinal != ordinal && !setup.driver().canReach(ordinal, peer.ordinal)) {
      throw new IllegalArgumentException(
          "%s cannot read the memory of %s: choose GPUs that are linked with --device-ids"
              .formatted(name, peer.name));
    }
  }

  /** Lets this device read and write another's memory. */
  void reach(CudaDevice peer) {
    if (peer.ordinal == ordinal) {
      return;
    }
    opened();
    Driver driver = setup.driver();
    long context = driver.retainContext(peer.ordinal);
    driver.reach(context);
    driver.releaseContext(peer.ordinal);
  }

  @Override
  public long progress() {
    Opened current = opened;
    return current == null ? 0 : current.launcher.launches();
  }

  @Override
  public void close() {
    sharers.decrementAndGet();
    Opened current = opened;
    if (current == null) {
      arena.close();
      return;
    }
    opened();
    opened = null;
    Driver driver = setup.driver();
    current.cublas.close();
    driver.destroyStream(current.stream);
    events.forEach(driver::destroyEvent);
    signals.forEach(HostSignal::close);
    for (long address : allocations) {
      driver.free(address);
    }
    hostMemory.forEach(driver::freeHost);
    if (ring != null) {
      ring.close();
    }
    driver.unloadKernels(current.kernels);
    driver.releaseContext(ordinal);
    arena.close();
  }
}
