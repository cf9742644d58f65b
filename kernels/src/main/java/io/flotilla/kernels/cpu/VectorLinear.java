package io.flotilla.kernels.cpu;

import io.flotilla.kernels.TensorType;
import java.lang.foreign.Arena;
import jdk.incubator.vector.FloatVector;

/**
 * Matrix products on the Vector API. Every output is a sum along K in one vector accumulator, lane
 * {@code l} taking the elements {@code l, l + lanes, ...} in order, and the lanes summed at the
 * end: the same for one row and for many, whatever the blocking, so that a row's result never
 * depends on its company.
 *
 * <p>A tile of work is a panel of outputs: their weights are widened once into the worker's scratch
 * (sized for the second-level cache) and all rows pass over them, four rows and four outputs at a
 * time, with sixteen accumulators in registers. A single row takes {@link RowProduct} where the
 * type has one, and never stores its weights.
 */
final class VectorLinear {
  private static final long PANEL_BYTES = 256 << 10;
  private static final int MAX_PANEL_OUTPUTS = 64;
  private static final long ROW_BLOCK_BYTES = 192 << 10;
  private static final int FEW_ROWS = 8;
  private static final int FEW_ROWS_OUTPUTS = 8;

  /** Accumulators of one micro-tile, stored to be summed. */
  private static final long SUM_BYTES = 16L * Lanes.BYTES;

  private final WorkerMemory panels;
  private final WorkerMemory paddings;
  private final WorkerMemory sums;

  VectorLinear(int workers, Arena arena) {
    this.panels = new WorkerMemory(workers, arena);
    this.paddings = new WorkerMemory(workers, arena);
    this.sums = new WorkerMemory(workers, arena);
  }

  /** See {@link TileKernels#mostOutputs}: few rows pass over a panel in the first-level cache. */
  static int mostOutputs(int rows, int columns, TensorType type) {
    boolean isStored = rows > 1 || RowProduct.of(type) == null;
    int most = rows <= FEW_ROWS && isStored ? FEW_ROWS_OUTPUTS : MAX_PANEL_OUTPUTS;
    return (int) Math.min(PANEL_BYTES / ((long) vectors(columns) * Lanes.BYTES), most);
  }

  /** See {@link TileKernels#multiply}. */
  void multiply(LinearTile tile, int worker) {
    int vectors = vectors(tile.columns());
    int quads = Math.ceilDiv(tile.outputs(), PanelDecoder.WIDTH);
    long panel = panels.reserve(worker, (long) quads * vectors * PanelDecoder.STRIDE);
    new Product(padded(tile, worker), panel, sums.reserve(worker, SUM_BYTES)).run();
  }

  private static int vectors(int columns) {
    return Math.ceilDiv(columns, Lanes.COUNT);
  }

  /** The tile with rows of whole vectors: as they lie, or padded with zeros. */
  private LinearTile padded(LinearTile tile, int worker) {
    if (tile.columns() % Lanes.COUNT == 0) {
      return tile;
    }
    long stride = (long) vectors(tile.columns()) * Lanes.BYTES;
    long padded = paddings.reserve(worker, stride * tile.rows());
    for (int row = 0; row < tile.rows(); row++) {
      long to = padded + row * stride;
      NativeMemory.clear(to + stride - Lanes.BYTES, Lanes.BYTES);
      NativeMemory.copy(tile.x() + row * tile.xStride(), to, 4L * tile.columns());
    }
    return tile.withRows(padded, stride);
  }

  /** A tile being computed, with the worker's memory for widened weights and for sums. */
  private record Product(LinearTile tile, long panel, long sums) {
    void run() {
      RowProduct product = RowProduct.of(tile.type());
      if (tile.rows() > 1 || product == null || tile.columns() % Lanes.COUNT != 0) {
        multiply(0, tile.outputs());
        return;
      }
      // Four rows a quarter of the tile apart, so that each is read on from where it ended: short
      // jumping streams would leave the hardware's prefetching behind.
      int quarter = tile.outputs() / PanelDecoder.WIDTH;
      for (int i = 0; i < quarter; i++) {
        long stride = quarter * tile.weightStride();
        product.multiply(tile.x(), weights(i), stride, tile.columns(), sums);
        for (int j = 0; j < PanelDecoder.WIDTH; j++) {
          finish(sums + (long) j * Lanes.BYTES, 0, i + j * quarter);
        }
      }
      int whole = quarter * PanelDecoder.WIDTH;
      multiply(whole, tile.outputs() - whole);
    }

    private long weights(int output) {
      return tile.weights() + output * tile.weightStride();
    }

    private int vectors() {
      return VectorLinear.vectors(tile.columns());
    }

    private long row(int row) {
      return tile.x() + row * tile.xStride();
    }

    private void multiply(int first, int count) {
      decode(first, count);
      long quadBytes = (long) vectors() * PanelDecoder.STRIDE;
      int rowBlock = Math.toIntExact(Math.max(ROW_BLOCK_BYTES / tile.xStride() / 4, 1) * 4);
      for (int row = 0; row < tile.rows(); row += rowBlock) {
        int rows = Math.min(rowBlock, tile.rows() - row);
        for (int quad = 0; quad < count; quad += PanelDecoder.WIDTH) {
          int outputs = Math.min(PanelDecoder.WIDTH, count - quad);
          long weights = panel + quad / PanelDecoder.WIDTH * quadBytes;
          multiplyQuad(row, rows, weights, first + quad, outputs);
        }
      }
    }

    private void decode(int first, int count) {
      long quadBytes = (long) vectors() * PanelDecoder.STRIDE;
      for (int i = 0; i < count; i++) {
        long to =
            panel
                + i / PanelDecoder.WIDTH * quadBytes
                + (long) (i % PanelDecoder.WIDTH) * Lanes.BYTES;
        decodeRow(weights(first + i), to);
      }
    }

    private void decodeRow(long weights, long to) {
      PanelDecoder decoder = PanelDecoder.of(tile.type());
      int whole = tile.columns() / Lanes.COUNT * Lanes.COUNT;
      decoder.decode(weights, whole, to);
      if (whole < tile.columns()) {
        // Only types without blocks have such rows: the rest is decoded from a padded copy.
        int bytes = Math.toIntExact(tile.weightStride() / tile.columns());
        NativeMemory.clear(sums, Lanes.BYTES);
        NativeMemory.copy(
            weights + (long) whole * bytes, sums, (long) (tile.columns() - whole) * bytes);
        decoder.decode(sums, Lanes.COUNT, to + (long) (whole / Lanes.COUNT) * PanelDecoder.STRIDE);
      }
    }

    private void multiplyQuad(int row, int rows, long weights, int output, int outputs) {
      int vectors = vectors();
      int done = 0;
      for (; done + 4 <= rows; done += 4) {
        fourRows(row(row + done), tile.xStride(), weights, vectors, sums);
        finish(row + done, 4, output, outputs);
      }
      for (; done < rows; done++) {
        oneRow(row(row + done), weights, vectors, sums);
        finish(row + done, 1, output, outputs);
      }
    }

    /** Sums the lanes of the accumulators {@code [rows][4]} and stores the outputs. */
    private void finish(int row, int rows, int output, int outputs) {
      for (int i = 0; i < rows; i++) {
        for (int j = 0; j < outputs; j++) {
          finish(sums + (long) (i * PanelDecoder.WIDTH + j) * Lanes.BYTES, row + i, output + j);
        }
      }
    }

    private void finish(long accumulator, int row, int output) {
      float sum = Lanes.sumStored(accumulator);
      float bias = tile.bias() == 0 ? 0f : NativeMemory.getFloat(tile.bias() + 4L * output);
      NativeMemory.setFloat(tile.out() + row * tile.outStride() + 4L * output, sum + bias);
    }
  }

  private static void oneRow(long x, long weights, int vectors, long sums) {
    FloatVector a0 = Lanes.zero();
    FloatVector a1 = Lanes.zero();
    FloatVector a2 = Lanes.zero();
    FloatVector a3 = Lanes.zero();
    long w = weights;
    for (int i = 0; i < vectors; i++, w += PanelDecoder.STRIDE) {
      FloatVector x0 = Lanes.load(x + (long) i * Lanes.BYTES);
      a0 = x0.fma(Lanes.load(w), a0);
      a1 = x0.fma(Lanes.load(w + Lanes.BYTES), a1);
      a2 = x0.fma(Lanes.load(w + 2L * Lanes.BYTES), a2);
      a3 = x0.fma(Lanes.load(w + 3L * Lanes.BYTES), a3);
    }
    storeFour(a0, a1, a2, a3, sums);
  }

  /** Four rows by four outputs: sixteen accumulators, for eight loads a step. */
  private static void fourRows(long x, long xStride, long weights, int vectors, long sums) {
    // One zero for all: a compiler that has inlined too much boxes what is left.
    FloatVector zero = Lanes.zero();
    FloatVector a00 = zero;
    FloatVector a01 = zero;
    FloatVector a02 = zero;
    FloatVector a03 = zero;
    FloatVector a10 = zero;
    FloatVector a11 = zero;
    FloatVector a12 = zero;
    FloatVector a13 = zero;
    FloatVector a20 = zero;
    FloatVector a21 = zero;
    FloatVector a22 = zero;
    FloatVector a23 = zero;
    FloatVector a30 = zero;
    FloatVector a31 = zero;
    FloatVector a32 = zero;
    FloatVector a33 = zero;
    long w = weights;
    long row = x;
    for (int i = 0; i < vectors; i++, w += PanelDecoder.STRIDE, row += Lanes.BYTES) {
      FloatVector w0 = Lanes.load(w);
      FloatVector w1 = Lanes.load(w + Lanes.BYTES);
      FloatVector w2 = Lanes.load(w + 2L * Lanes.BYTES);
      FloatVector w3 = Lanes.load(w + 3L * Lanes.BYTES);
      FloatVector x0 = Lanes.load(row);
      a00 = x0.fma(w0, a00);
      a01 = x0.fma(w1, a01);
      a02 = x0.fma(w2, a02);
      a03 = x0.fma(w3, a03);
      FloatVector x1 = Lanes.load(row + xStride);
      a10 = x1.fma(w0, a10);
      a11 = x1.fma(w1, a11);
      a12 = x1.fma(w2, a12);
      a13 = x1.fma(w3, a13);
      FloatVector x2 = Lanes.load(row + 2 * xStride);
      a20 = x2.fma(w0, a20);
      a21 = x2.fma(w1, a21);
      a22 = x2.fma(w2, a22);
      a23 = x2.fma(w3, a23);
      FloatVector x3 = Lanes.load(row + 3 * xStride);
      a30 = x3.fma(w0, a30);
      a31 = x3.fma(w1, a31);
      a32 = x3.fma(w2, a32);
      a33 = x3.fma(w3, a33);
    }
    storeFour(a00, a01, a02, a03, sums);
    storeFour(a10, a11, a12, a13, sums + 4L * Lanes.BYTES);
    storeFour(a20, a21, a22, a23, sums + 8L * Lanes.BYTES);
    storeFour(a30, a31, a32, a33, sums + 12L * Lanes.BYTES);
  }

  static void storeFour(
      FloatVector a0, FloatVector a1, FloatVector a2, FloatVector a3, long address) {
    Lanes.store(a0, address);
    Lanes.store(a1, address + Lanes.BYTES);
    Lanes.store(a2, address + 2L * Lanes.BYTES);
    Lanes.store(a3, address + 3L * Lanes.BYTES);
  }
}
