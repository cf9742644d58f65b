package io.flotilla.kernels.cpu;

import io.flotilla.kernels.AttentionShape;
import io.flotilla.kernels.Buffer;
import io.flotilla.kernels.Device;
import io.flotilla.kernels.KvCache;
import io.flotilla.kernels.MatrixSource;
import io.flotilla.kernels.Ops;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Some cores of this machine and the memory allocated on them. Mapped files are used where they
 * lie. Operations run at once, on the thread that calls them and the rest of the team.
 */
public final class CpuDevice implements Device {
  private static final Logger LOG = LoggerFactory.getLogger(CpuDevice.class);
  private static final long ALIGNMENT = 64;

  private final Arena arena = Arena.ofShared();
  private final CpuShare share;
  private final ThreadTeam team;
  private final OpsSelection selection;
  private final String name;

  /** Chooses the operations of a device. */
  private interface Choice {
    OpsSelection choose(ThreadTeam team, Arena arena);
  }

  private CpuDevice(CpuShare share, Choice choice) {
    this.share = share;
    this.team = new ThreadTeam(share.threads(), spinNanos(), this::attach);
    this.selection = choice.choose(team, arena);
    this.name = "cpu (" + threads(team.threads()) + ", " + selection.name() + ")";
  }

  /**
   * A device with the fastest operations this Java and this processor have.
   *
   * @param threads with the caller's; 0 for as many as there are processors
   * @throws IllegalArgumentException when it is negative
   */
  public static CpuDevice open(int threads) {
    return open(share(threads));
  }

  /** A device of a share of the cores, with the fastest operations there are. */
  public static CpuDevice open(CpuShare share) {
    CpuDevice device = new CpuDevice(share, OpsSelection::best);
    if (device.selection.fast()) {
      LOG.info("{}: {}", device.name, device.selection.reason());
    } else {
      LOG.warn("{}, which is slow: {}", device.name, device.selection.reason());
    }
    return device;
  }

  /**
   * A device with the scalar operations, the oracle for all others.
   *
   * @param threads as for {@link #open}
   * @throws IllegalArgumentException when it is negative
   */
  public static CpuDevice openScalar(int threads) {
    return openScalar(share(threads));
  }

  /** A device of a share of the cores, with the scalar operations. */
  public static CpuDevice openScalar(CpuShare share) {
    return new CpuDevice(share, (team, _) -> OpsSelection.scalar(team, "asked for"));
  }

  /** A device with the operations on the Vector API, for where kernels are not compiled. */
  static CpuDevice openVector(int threads) {
    return new CpuDevice(share(threads), OpsSelection::vector);
  }

  private static CpuShare share(int threads) {
    return CpuShare.of(threads == 0 ? Runtime.getRuntime().availableProcessors() : threads);
  }

  /** How long a thread of this device spins before it parks: not at all on a shared core. */
  long spinNanos() {
    return share.oversubscribed() ? 0 : ThreadTeam.SPIN_NANOS;
  }

  ThreadTeam team() {
    return team;
  }

  Summation summation() {
    return selection.summation();
  }

  /** Pins the calling thread to the device's cores, where it has some of its own. */
  @Override
  public void attach() {
    Affinity.pin(share.processors());
  }

  @Override
  public String name() {
    return name;
  }

  @Override
  public Buffer allocate(long bytes) {
    try {
      return new CpuBuffer(ZeroedMemory.allocate(bytes, ALIGNMENT, arena));
    } catch (OutOfMemoryError e) {
      OutOfMemoryError named =
          new OutOfMemoryError(name + " cannot allocate " + bytes + " bytes: " + e.getMessage());
      named.initCause(e);
      throw named;
    }
  }

  /**
   * {@inheritDoc}
   *
   * @throws IllegalArgumentException when the memory lies on the Java heap: one such segment makes
   *     every kernel that has seen it slow, for all segments
   */
  @Override
  public Buffer map(MemorySegment host) {
    if (!host.isNative()) {
      throw new IllegalArgumentException("memory on the Java heap cannot be mapped; upload it");
    }
    return new CpuBuffer(host);
  }

  /**
   * {@inheritDoc} Parts of rows are copied to lie one after the other: where they are, every row is
   * a start anew for the processor's prefetchers, and reading takes twice the time.
   */
  @Override
  public List<Tensor> load(List<MatrixSource> matrices) {
    List<MatrixSource> whole = new ArrayList<>();
    for (MatrixSource matrix : matrices) {
      whole.add(
          matrix instanceof MatrixSource.Stored stored && stored.columns() < stored.stride()
              ? packed(stored)
              : matrix);
    }
    return Device.super.load(whole);
  }

  private MatrixSource.Stored packed(MatrixSource.Stored matrix) {
    long from = matrix.type().bytes(matrix.stride());
    long bytes = matrix.type().bytes(matrix.columns());
    MemorySegment rows = ((CpuBuffer) allocate(matrix.rows() * bytes)).segment();
    for (int row = 0; row < matrix.rows(); row++) {
      MemorySegment.copy(matrix.data(), row * from, rows, row * bytes, bytes);
    }
    LOG.debug("{}: {} bytes of parts of rows are copied", name, rows.byteSize());
    return new MatrixSource.Stored(
        rows, matrix.type(), matrix.rows(), matrix.columns(), matrix.columns());
  }

  @Override
  public Stream openStream() {
    return new CpuStream();
  }

  @Override
  public Ops ops() {
    return selection.ops();
  }

  @Override
  public KvCache allocateKvCache(AttentionShape shape, int blocks, int blockSize) {
    KvLayout layout = layout(shape, blockSize);
    Buffer keys = allocate(Math.multiplyExact(layout.keyBlockBytes(), blocks));
    Buffer values = allocate(Math.multiplyExact(layout.valueBlockBytes(), blocks));
    return new KvCache(shape, blocks, blockSize, keys, values);
  }

  @Override
  public long kvBlockBytes(AttentionShape shape, int blockSize) {
    KvLayout layout = layout(shape, blockSize);
    return layout.keyBlockBytes() + layout.valueBlockBytes();
  }

  @Override
  public long mixtureBytes(int rows, int hidden, int intermediate, int experts, int perToken) {
    return ExpertMixture.bytes(rows, hidden, intermediate);
  }

  /** Blocks are whole vectors, and chunks of attention are whole blocks. */
  private static KvLayout layout(AttentionShape shape, int blockSize) {
    if (blockSize < KvLayout.GRANULE || TiledAttention.CHUNK % blockSize != 0) {
      throw new IllegalArgumentException(
          "--block-size " + blockSize + " is not supported: on a CPU it is 16, 32, 64 or 128");
    }
    return KvLayout.of(shape, blockSize);
  }

  @Override
  public long progress() {
    return team.progress();
  }

  /** Ends the threads and frees the memory; nothing may run on the device any more. */
  @Override
  public void close() {
    team.close();
    arena.close();
  }

  private static String threads(int count) {
    return count == 1 ? "1 thread" : count + " threads";
  }
}
