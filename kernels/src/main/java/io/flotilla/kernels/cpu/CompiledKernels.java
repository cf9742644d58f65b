package io.flotilla.kernels.cpu;

import static java.lang.foreign.ValueLayout.ADDRESS;

import io.flotilla.kernels.TensorType;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;

/**
 * Tiles in C (src/main/c), each a call with the address of one structure of 64-bit fields. The
 * compiler of Java neither keeps as many sums in registers nor compiles before the first request.
 */
@SuppressWarnings(
    "restricted") // Calls the product's own kernels, with addresses that were checked.
final class CompiledKernels implements TileKernels {
  /** Whole tiles of registers, whatever the instructions. */
  private static final long PANEL_GRANULE = 24;

  private static final long PANEL_BYTES = 256 << 10;
  private static final long MOST_PANELS = 2;
  private static final int MOST_OUTPUTS = 192;
  private static final int GROUP = 32;
  private static final int QUERIES = 4;
  private static final int CHUNK = TiledAttention.CHUNK;
  private static final long WIDEST_VECTOR = 64;
  private static final long ARGUMENT_BYTES = 4096;

  private final MethodHandle linear;
  private final MethodHandle attention;
  private final MethodHandle add;
  private final MethodHandle addScaled;
  private final MethodHandle normalise;
  private final MethodHandle gate;
  private final MethodHandle rotateHalves;
  private final MethodHandle sum;
  private final WorkerMemory panels;
  private final WorkerMemory attentions;
  private final ThreadLocal<MemorySegment> arguments;

  /**
   * @param arena for the workers' scratch memory
   */
  CompiledKernels(SymbolLookup library, int workers, Arena arena) {
    this.linear = link(library, "linear");
    this.attention = link(library, "attention");
    this.add = link(library, "add");
    this.addScaled = link(library, "add_scaled");
    this.normalise = link(library, "normalise");
    this.gate = link(library, "gate");
    this.rotateHalves = link(library, "rotate_halves");
    this.sum = link(library, "sum");
    this.panels = new WorkerMemory(workers, arena);
    this.attentions = new WorkerMemory(workers, arena);
    this.arguments = ThreadLocal.withInitial(() -> arena.allocate(ARGUMENT_BYTES, WIDEST_VECTOR));
  }

  private static MethodHandle link(SymbolLookup library, String name) {
    return Linker.nativeLinker()
        .downcallHandle(
            library.findOrThrow("flotilla_" + name), FunctionDescriptor.ofVoid(ADDRESS));
  }

  @Override
  public int mostOutputs(int rows, int columns, TensorType type) {
    return MOST_OUTPUTS;
  }

  @Override
  public void multiply(LinearTile tile, int worker) {
    long columns = Math.ceilDiv(tile.columns(), GROUP) * (long) GROUP;
    long fitting = PANEL_BYTES / (columns * Float.BYTES * PANEL_GRANULE);
    long panelOutputs = Math.clamp(fitting, 1L, MOST_PANELS) * PANEL_GRANULE;
    call(
        linear,
        tile.x(),
        tile.xStride(),
        tile.rows(),
        tile.columns(),
        code(tile.type()),
        tile.weights(),
        tile.weightStride(),
        tile.outputs(),
        tile.bias(),
        tile.out(),
        tile.outStride(),
        panels.reserve(worker, panelOutputs * columns * Float.BYTES),
        panelOutputs);
  }

  /** The type's number in weights.h. */
  private static int code(TensorType type) {
    return switch (type) {
      case F32 -> 0;
      case F16 -> 1;
      case BF16 -> 2;
      case Q8_0 -> 3;
      case Q4_0 -> 4;
      case Q4_1 -> 5;
      case Q5_0 -> 6;
      case Q5_1 -> 7;
      case Q4_K -> 8;
      case Q5_K -> 9;
      case Q6_K -> 10;
      case I32 -> throw new IllegalArgumentException("integers are no weights");
    };
  }

  @Override
  public void attend(AttentionTile tile, int worker) {
    AttentionCall call = tile.call();
    KvLayout layout = call.layout();
    long queries = Math.ceilDiv((long) tile.rows() * call.heads(), QUERIES) * QUERIES;
    long queryBytes = 2 * layout.valueStride() + 4L * CHUNK + WIDEST_VECTOR + 8;
    long head = 4L * tile.kvHead() * call.heads() * layout.headDim();
    call(
        attention,
        call.queries() + tile.firstRow() * call.queryRowBytes() + head,
        call.queryRowBytes(),
        call.queryGroupBytes(),
        call.out() + tile.firstRow() * call.outRowBytes() + head,
        call.outRowBytes(),
        call.outGroupBytes(),
        call.blockTables() + tile.sequence() * call.blockTableBytes(),
        call.keys() + layout.keys(0, tile.kvHead()),
        call.values() + layout.values(0, tile.kvHead()),
        layout.keyBlockBytes(),
        layout.valueBlockBytes(),
        layout.valueStride(),
        layout.blockSize(),
        layout.headDim(),
        call.heads(),
        call.groupHeads(),
        call.part(),
        call.parts(),
        call.partial() ? 1 : 0,
        tile.rows(),
        NativeMemory.getInt(call.positions() + 4L * tile.firstRow()),
        Float.floatToRawIntBits(call.scale()),
        attentions.reserve(worker, queries * queryBytes));
  }

  @Override
  public void add(long to, long from, int columns) {
    call(add, to, from, 0, columns);
  }

  @Override
  public void addScaled(long to, float scale, long from, int columns) {
    call(addScaled, to, from, 0, columns, Float.floatToRawIntBits(scale));
  }

  @Override
  public void normalise(long x, long weights, int columns, float epsilon, long out) {
    call(normalise, out, x, weights, columns, Float.floatToRawIntBits(epsilon));
  }

  @Override
  public void gate(long gate, long up, int columns, long out) {
    call(this.gate, out, gate, up, columns);
  }

  @Override
  public void rotateHalves(long head, long angles, int pairs) {
    call(rotateHalves, head, 0, angles, pairs);
  }

  /** See {@link Summation#sum}. */
  void sum(long[] from, long[] to, long offset, long count) {
    long[] fields = new long[4 + from.length + to.length];
    fields[0] = from.length;
    fields[1] = to.length;
    fields[2] = offset;
    fields[3] = count;
    System.arraycopy(from, 0, fields, 4, from.length);
    System.arraycopy(to, 0, fields, 4 + from.length, to.length);
    call(sum, fields);
  }

  private void call(MethodHandle function, long... fields) {
    MemorySegment structure = arguments.get();
    for (int i = 0; i < fields.length; i++) {
      structure.setAtIndex(ValueLayout.JAVA_LONG, i, fields[i]);
    }
    try {
      function.invokeExact(structure);
    } catch (RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new IllegalStateException("a kernel failed", e);
    }
  }
}
