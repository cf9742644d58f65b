package io.flotilla.kernels.cpu;

import io.flotilla.kernels.Tensor;
import io.flotilla.kernels.TensorType;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Objects;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import jdk.incubator.vector.FloatVector;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * The matrix products of a step of the Qwen3-0.6B shape on two threads, beside the two ceilings
 * they are held against: {@link #read} reads the same weights, and {@link #multiplyAdd} does as
 * many multiply-adds as a step of {@link #rows} rows, on data in the first-level cache.
 */
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@State(Scope.Benchmark)
@SuppressWarnings("NullAway.Init")
@Fork(
    value = 1,
    jvmArgsAppend = {
      "--add-modules=jdk.incubator.vector",
      "--enable-native-access=ALL-UNNAMED",
      "-Djdk.incubator.vector.VECTOR_ACCESS_OOB_CHECK=0"
    })
@Warmup(iterations = 3, time = 2)
@Measurement(iterations = 5, time = 2)
public class LinearBenchmark {
  private static final int THREADS = 2;
  private static final int LAYERS = 28;
  private static final int[][] SHAPES = {{4096, 1024}, {1024, 2048}, {6144, 1024}, {1024, 3072}};

  @Param({"Q8_0", "BF16", "Q4_0", "Q4_K"})
  private TensorType type;

  @Param({"1", "8", "512"})
  private int rows;

  /** Whether kernels are those in C, or those on the Vector API. */
  @Param({"true", "false"})
  private boolean compiled;

  private final Arena arena = Arena.ofShared();
  private ThreadTeam team;
  private TiledLinear linear;
  private MemorySegment weights;
  private Tensor[][] layers;
  private Tensor x;
  private Tensor out;
  private MemorySegment cached;
  private volatile float sink;

  /** Made by JMH. */
  public LinearBenchmark() {}

  @Setup
  public void allocate() {
    team = new ThreadTeam(THREADS);
    linear = new TiledLinear(team, kernels());
    layers = new Tensor[LAYERS][SHAPES.length];
    long layerBytes = 0;
    for (int[] shape : SHAPES) {
      layerBytes += type.bytes((long) shape[0] * shape[1]);
    }
    weights = arena.allocate(layerBytes * LAYERS, 64);
    fill(weights);
    long offset = 0;
    for (Tensor[] layer : layers) {
      for (int i = 0; i < SHAPES.length; i++) {
        long bytes = type.bytes((long) SHAPES[i][0] * SHAPES[i][1]);
        CpuBuffer buffer = new CpuBuffer(weights.asSlice(offset, bytes));
        layer[i] = Tensor.of(buffer, type, SHAPES[i][0], SHAPES[i][1]);
        offset += bytes;
      }
    }
    x = floats(rows, 3072);
    out = floats(rows, 6144);
    cached = arena.allocate(THREADS * 4096L, 64);
  }

  private TileKernels kernels() {
    if (compiled) {
      CompiledLibrary library = Objects.requireNonNull(CompiledLibrary.found());
      return new CompiledKernels(library.symbols(), THREADS, arena);
    }
    return new VectorKernels(THREADS, arena);
  }

  private Tensor floats(int rows, int columns) {
    MemorySegment segment = arena.allocate(4L * rows * columns, 64);
    SplittableRandom random = new SplittableRandom(1);
    for (long i = 0; i < (long) rows * columns; i++) {
      segment.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) random.nextDouble(-1, 1));
    }
    return Tensor.of(new CpuBuffer(segment), TensorType.F32, rows, columns);
  }

  /** Every half-precision scale a small number, whatever the type. */
  private static void fill(MemorySegment segment) {
    SplittableRandom random = new SplittableRandom(2);
    for (long i = 0; i < segment.byteSize() / 8; i++) {
      segment.setAtIndex(ValueLayout.JAVA_LONG, i, random.nextLong() & 0x3F3F3F3F3F3F3F3FL);
    }
  }

  @Benchmark
  public float step() {
    for (Tensor[] layer : layers) {
      for (Tensor weight : layer) {
        linear.run(view(x, weight.columns()), List.of(weight), null, view(out, weight.rows()));
      }
    }
    return NativeMemory.getFloat(NativeMemory.address(out));
  }

  private Tensor view(Tensor tensor, int columns) {
    return Tensor.of(tensor.buffer(), TensorType.F32, rows, columns);
  }

  @Benchmark
  public float read() {
    long tiles = 256;
    long bytes = weights.byteSize() / tiles / 256 * 256;
    team.run((int) tiles, (tile, _) -> sink = readRange(weights.address() + tile * bytes, bytes));
    return sink;
  }

  private static float readRange(long from, long bytes) {
    FloatVector a = Lanes.zero();
    FloatVector b = Lanes.zero();
    FloatVector c = Lanes.zero();
    FloatVector d = Lanes.zero();
    for (long i = from; i < from + bytes; i += 4L * Lanes.BYTES) {
      a = a.add(Lanes.load(i));
      b = b.add(Lanes.load(i + Lanes.BYTES));
      c = c.add(Lanes.load(i + 2L * Lanes.BYTES));
      d = d.add(Lanes.load(i + 3L * Lanes.BYTES));
    }
    return a.add(b).add(c.add(d)).lane(0);
  }

  @Benchmark
  public float multiplyAdd() {
    long count = 0;
    for (int[] shape : SHAPES) {
      count += (long) shape[0] * shape[1];
    }
    long perThread = count * LAYERS * rows / Lanes.COUNT / THREADS;
    // In tiles, so that the loop is compiled as a method and not in the middle of its one run.
    long rounds = 10_000;
    int tiles = Math.toIntExact(perThread * THREADS / 12 / rounds);
    team.run(tiles, (_, worker) -> sink = multiplyAdds(cached.address() + worker * 4096L, rounds));
    return sink;
  }

  private static float multiplyAdds(long data, long rounds) {
    FloatVector a0 = Lanes.zero();
    FloatVector a1 = a0;
    FloatVector a2 = a0;
    FloatVector a3 = a0;
    FloatVector a4 = a0;
    FloatVector a5 = a0;
    FloatVector a6 = a0;
    FloatVector a7 = a0;
    FloatVector a8 = a0;
    FloatVector a9 = a0;
    FloatVector a10 = a0;
    FloatVector a11 = a0;
    FloatVector y = Lanes.load(data + 2048);
    for (long i = 0; i < rounds; i++) {
      FloatVector x0 = Lanes.load(data + (i & 15) * Lanes.BYTES);
      a0 = x0.fma(y, a0);
      a1 = x0.fma(y, a1);
      a2 = x0.fma(y, a2);
      a3 = x0.fma(y, a3);
      a4 = x0.fma(y, a4);
      a5 = x0.fma(y, a5);
      a6 = x0.fma(y, a6);
      a7 = x0.fma(y, a7);
      a8 = x0.fma(y, a8);
      a9 = x0.fma(y, a9);
      a10 = x0.fma(y, a10);
      a11 = x0.fma(y, a11);
    }
    return a0.add(a1)
        .add(a2.add(a3))
        .add(a4.add(a5))
        .add(a6.add(a7))
        .add(a8.add(a9))
        .add(a10.add(a11))
        .lane(0);
  }

  @TearDown
  public void free() {
    team.close();
    arena.close();
  }
}
