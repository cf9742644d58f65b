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
import io.flotilla.kernels.TokenSampling;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.function.Consumer;

/** A device on which something happens before operations: it waits, or it breaks. */
final class HookedDevice implements Device {
  private final Device inner;
  private final Ops ops;
  private volatile boolean closed;

  /**
   * @param before runs on the rank's thread before each operation, whose name it gets
   */
  HookedDevice(Device inner, Consumer<String> before) {
    this.inner = inner;
    this.ops = hooked(Ops.class, inner.ops(), before);
  }

  Device inner() {
    return inner;
  }

  boolean closed() {
    return closed;
  }

  @Override
  public String name() {
    return inner.name();
  }

  @Override
  public Buffer allocate(long bytes) {
    return inner.allocate(bytes);
  }

  @Override
  public Buffer map(MemorySegment host) {
    return inner.map(host);
  }

  @Override
  public List<Tensor> load(List<MatrixSource> matrices) {
    return inner.load(matrices);
  }

  @Override
  public boolean makesRandom() {
    return inner.makesRandom();
  }

  @Override
  public TensorType activationType() {
    return inner.activationType();
  }

  @Override
  public int paddedRows(int rows) {
    return inner.paddedRows(rows);
  }

  @Override
  public MemorySegment allocateHost(Arena arena, long bytes) {
    return inner.allocateHost(arena, bytes);
  }

  @Override
  public Optional<TokenSampling> sampling() {
    return inner.sampling();
  }

  @Override
  public void attach() {
    inner.attach();
  }

  @Override
  public Stream openStream() {
    return inner.openStream();
  }

  @Override
  public Ops ops() {
    return ops;
  }

  @Override
  public KvCache allocateKvCache(AttentionShape shape, int blocks, int blockSize) {
    return inner.allocateKvCache(shape, blocks, blockSize);
  }

  @Override
  public long mixtureBytes(int rows, int hidden, int intermediate, int experts, int perToken) {
    return inner.mixtureBytes(rows, hidden, intermediate, experts, perToken);
  }

  @Override
  public long kvBlockBytes(AttentionShape shape, int blockSize) {
    return inner.kvBlockBytes(shape, blockSize);
  }

  @Override
  public long progress() {
    return inner.progress();
  }

  @Override
  public void close() {
    closed = true;
    inner.close();
  }

  /** The target, with something that happens before each of its methods. */
  static <T> T hooked(Class<T> type, T target, Consumer<String> before) {
    return type.cast(
        Proxy.newProxyInstance(
            type.getClassLoader(),
            new Class<?>[] {type},
            (_, method, arguments) -> {
              before.accept(method.getName());
              return invoke(target, method, arguments);
            }));
  }

  /** Takes so long that the watchdog sees the step that runs. */
  static void pause() {
    try {
      Thread.sleep(3 * StepWatchdog.PERIOD.toMillis());
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }

  /** Makes no progress until it is released. */
  static void hang(CountDownLatch released) {
    try {
      released.await();
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }

  private static Object invoke(Object target, Method method, Object[] arguments) throws Throwable {
    try {
      return method.invoke(target, arguments);
    } catch (InvocationTargetException e) {
      throw e.getTargetException();
    }
  }
}
