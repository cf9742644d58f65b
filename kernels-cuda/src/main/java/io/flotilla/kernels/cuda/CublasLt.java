package io.flotilla.kernels.cuda;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.util.HashMap;
import java.util.Map;
import java.util.function.LongConsumer;

/**
 * Matrix products by cuBLASLt, bf16 with float accumulators. Row-major {@code out = x W^T} is, in
 * its column-major terms, {@code out^T = W^T^T x^T}: the weights are its first operand, transposed.
 *
 * <p>Of the algorithms its heuristics name, the fastest is used, found by an {@link AlgorithmTrial}
 * for each shape; numbers of rows that are near to each other share one.
 */
final class CublasLt {
  private static final int COMPUTE_32F = 68;
  private static final int F32 = 0;
  private static final int BF16 = 14;
  private static final int TRANSPOSE_FIRST = 3; // CUBLASLT_MATMUL_DESC_TRANSA
  private static final int TRANSPOSED = 1;
  private static final int MAX_WORKSPACE_BYTES = 1; // CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES
  private static final int HEURISTIC_BYTES = 96; // 64 of them the algorithm
  private static final long WORKSPACE_BYTES = 32L << 20;
  private static final int TILE_ROWS = 128;
  private static final int NAMED_FOR_THE_SIZE = 8;

  private final Driver driver;
  private final LongConsumer delay;
  private final NativeLibrary library;
  private final MethodHandle matmul;
  private final Arena arena;
  private final MemorySegment handle;
  private final MemorySegment description;
  private final MemorySegment preference;
  private final MemorySegment one;
  private final MemorySegment zero;
  private final long workspace;
  private final Map<Shape, Prepared> prepared = new HashMap<>();
  private final Map<Shape, AlgorithmTrial> trials = new HashMap<>();

  /**
   * A product.
   *
   * @param strides elements from row to row: of the weights, of the input, of the output
   */
  record Shape(
      int rows,
      int inputs,
      int outputs,
      int weightStride,
      int inStride,
      int outStride,
      boolean f32) {
    Shape withRows(int count) {
      return new Shape(count, inputs, outputs, weightStride, inStride, outStride, f32);
    }
  }

  private record Prepared(
      MemorySegment weights, MemorySegment in, MemorySegment out, AlgorithmTrial trial) {}

  /**
   * @param delay keeps a stream busy for longer than the host takes to send a product
   * @param workspace {@link #workspaceBytes} of device memory
   */
  CublasLt(Driver driver, LongConsumer delay, NativeLibrary library, long workspace, Arena arena) {
    this.driver = driver;
    this.delay = delay;
    this.library = library;
    this.workspace = workspace;
    this.arena = arena;
    this.matmul =
        library.function(
            "cublasLtMatmul",
            ADDRESS,
            ADDRESS,
            ADDRESS,
            JAVA_LONG,
            ADDRESS,
            JAVA_LONG,
            ADDRESS,
            ADDRESS,
            JAVA_LONG,
            ADDRESS,
            JAVA_LONG,
            ADDRESS,
            ADDRESS,
            JAVA_LONG,
            JAVA_LONG,
            JAVA_LONG);
    this.one = arena.allocateFrom(JAVA_FLOAT, 1f);
    this.zero = arena.allocateFrom(JAVA_FLOAT, 0f);
    this.handle = created("cublasLtCreate");
    this.description = created("cublasLtMatmulDescCreate", COMPUTE_32F, F32);
    MemorySegment transposed = arena.allocateFrom(JAVA_INT, TRANSPOSED);
    call("cublasLtMatmulDescSetAttribute", description, TRANSPOSE_FIRST, transposed, 4L);
    this.preference = created("cublasLtMatmulPreferenceCreate");
    MemorySegment bytes = arena.allocateFrom(JAVA_LONG, WORKSPACE_BYTES);
    call("cublasLtMatmulPreferenceSetAttribute", preference, MAX_WORKSPACE_BYTES, bytes, 8L);
  }

  static long workspaceBytes() {
    return WORKSPACE_BYTES;
  }

  /**
   * The next of few sizes to which rows are padded, and for which algorithms are chosen: powers of
   * two to 16, then steps of an eighth to a quarter.
   */
  static int roundedRows(int rows) {
    int power = Integer.highestOneBit(rows);
    if (rows <= 16) {
      return rows == power ? rows : 2 * power;
    }
    int step = Math.max(8, power / 4);
    return Math.ceilDiv(rows, step) * step;
  }

  /** {@code out[r] = W x[r]}, all at device addresses. */
  void multiply(Shape shape, long weights, long x, long out, long stream) {
    Prepared plan = prepared.computeIfAbsent(shape, this::prepare);
    int status = plan.trial.run(stream, by -> multiply(plan, weights, x, out, by, stream));
    check("cublasLtMatmul of " + shape, status);
  }

  private int multiply(
      Prepared plan, long weights, long x, long out, MemorySegment algorithm, long stream) {
    try {
      return (int)
          matmul.invokeExact(
              handle,
              description,
              one,
              weights,
              plan.weights,
              x,
              plan.in,
              zero,
              out,
              plan.out,
              out,
              plan.out,
              algorithm,
              workspace,
              WORKSPACE_BYTES,
              stream);
    } catch (Throwable e) {
      throw NativeLibrary.unexpected("cublasLtMatmul", e);
    }
  }

  private Prepared prepare(Shape shape) {
    Shape rounded = shape.withRows(roundedRows(shape.rows));
    AlgorithmTrial trial = trials.computeIfAbsent(rounded, this::find);
    return new Prepared(weights(shape), in(shape), out(shape), trial);
  }

  /**
   * What the heuristics name for a shape and for the next multiple of {@link #TILE_ROWS}, which is
   * faster at times: 192 rows by what is named for 256.
   */
  private AlgorithmTrial find(Shape shape) {
    int most = AlgorithmTrial.MOST_CANDIDATES;
    MemorySegment found = arena.allocate((long) most * HEURISTIC_BYTES, 8);
    Shape tiles = shape.withRows(Math.ceilDiv(shape.rows, TILE_ROWS) * TILE_ROWS);
    boolean both = tiles.rows > shape.rows && shape.rows > TILE_ROWS;
    int count = find(shape, found, both ? NAMED_FOR_THE_SIZE : most);
    if (count == 0) {
      throw new CudaException("cuBLASLt has no algorithm for " + shape);
    }
    if (both) {
      count += find(tiles, found.asSlice((long) count * HEURISTIC_BYTES), most - count);
    }
    return new AlgorithmTrial(driver, delay, found, count, HEURISTIC_BYTES);
  }

  private int find(Shape shape, MemorySegment found, int most) {
    MemorySegment count = arena.allocate(JAVA_INT);
    MemorySegment out = out(shape);
    call(
        "cublasLtMatmulAlgoGetHeuristic",
        handle,
        description,
        weights(shape),
        in(shape),
        out,
        out,
        preference,
        most,
        found,
        count);
    return count.get(JAVA_INT, 0);
  }

  private MemorySegment weights(Shape shape) {
    return layout(BF16, shape.inputs, shape.outputs, shape.weightStride);
  }

  private MemorySegment in(Shape shape) {
    return layout(BF16, shape.inputs, shape.rows, shape.inStride);
  }

  private MemorySegment out(Shape shape) {
    return layout(shape.f32 ? F32 : BF16, shape.outputs, shape.rows, shape.outStride);
  }

  private MemorySegment layout(int type, long rows, long columns, long stride) {
    return created("cublasLtMatrixLayoutCreate", type, rows, columns, stride);
  }

  /** Calls a function that writes a pointer to its first argument, and returns the pointer. */
  private MemorySegment created(String name, Object... arguments) {
    MemorySegment pointer = arena.allocate(ADDRESS);
    Object[] all = new Object[arguments.length + 1];
    all[0] = pointer;
    System.arraycopy(arguments, 0, all, 1, arguments.length);
    call(name, all);
    return pointer.get(ADDRESS, 0);
  }

  private void call(String name, Object... arguments) {
    check(name, library.call(name, arguments));
  }

  private static void check(String name, int status) {
    if (status != 0) {
      throw new CudaException(name + " failed: cuBLAS status " + status);
    }
  }

  void close() {
    library.call("cublasLtDestroy", handle);
  }
}
