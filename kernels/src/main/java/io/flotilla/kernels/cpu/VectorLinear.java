package io.flotilla.kernels.cpu;

import io.flotilla.kernels.Tensor;
import java.lang.foreign.Arena;
import java.util.List;
import jdk.incubator.vector.FloatVector;
import org.jspecify.annotations.Nullable;

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
  private static final int TILES_PER_THREAD = 4;

  /** Accumulators of one micro-tile, stored to be summed. */
  private static final long SUM_BYTES = 16L * Lanes.BYTES;

  private static final long SCRATCH_ALIGNMENT = 4096;

  private final ThreadTeam team;
  private final Arena arena;
  private final long[] panels;
  private final long[] sums;
  private long panelBytes;
  private long padded;
  private long paddedBytes;

  VectorLinear(ThreadTeam team, Arena arena) {
    this.team = team;
    this.arena = arena;
    this.panels = new long[team.threads()];
    this.sums = new long[team.threads()];
    for (int worker = 0; worker < sums.length; worker++) {
      sums[worker] = arena.allocate(SUM_BYTES, SCRATCH_ALIGNMENT).address();
    }
  }

  /** One matrix of a product, and where its outputs go. */
  private record Matrix(
      long weights,
      long rowBytes,
      int outputs,
      PanelDecoder decoder,
      @Nullable RowProduct rowProduct,
      long bias,
      long out) {}

  /** The input: rows of whole vectors. */
  private record Input(long address, long rowBytes, int rows, int columns) {
    long row(int index) {
      return address + index * rowBytes;
    }

    int vectors() {
      return Math.ceilDiv(columns, Lanes.COUNT);
    }
  }

  /** See {@link io.flotilla.kernels.Ops#linear}. */
  void run(Tensor x, List<Tensor> weights, @Nullable List<Tensor> biases, Tensor out) {
    if (x.rows() == 0) {
      return;
    }
    Input input = input(x);
    int outputs = out.columns();
    boolean isStored =
        input.rows > 1 || weights.stream().anyMatch(w -> RowProduct.of(w.type()) == null);
    int panelOutputs = panelOutputs(input, outputs, isStored);
    reservePanels((long) panelOutputs * input.vectors() * Lanes.BYTES);
    int[] firstTiles = new int[weights.size() + 1];
    Matrix[] matrices = new Matrix[weights.size()];
    int column = 0;
    for (int i = 0; i < matrices.length; i++) {
      Tensor weight = weights.get(i);
      matrices[i] =
          new Matrix(
              NativeMemory.address(weight),
              weight.rowBytes(),
              weight.rows(),
              PanelDecoder.of(weight.type()),
              x.columns() % Lanes.COUNT == 0 ? RowProduct.of(weight.type()) : null,
              biases == null ? 0 : NativeMemory.address(biases.get(i)),
              NativeMemory.address(out) + 4L * column);
      firstTiles[i + 1] = firstTiles[i] + Math.ceilDiv(weight.rows(), panelOutputs);
      column += weight.rows();
    }
    long outRowBytes = out.rowBytes();
    team.run(
        firstTiles[matrices.length],
        (tile, worker) -> {
          int i = 0;
          while (tile >= firstTiles[i + 1]) {
            i++;
          }
          int first = (tile - firstTiles[i]) * panelOutputs;
          int count = Math.min(panelOutputs, matrices[i].outputs - first);
          new Tile(matrices[i], input, outRowBytes, panels[worker], sums[worker]).run(first, count);
        });
  }

  /** The input as it lies, or padded with zeros where rows are no whole vectors. */
  private Input input(Tensor x) {
    if (x.columns() % Lanes.COUNT == 0) {
      return new Input(NativeMemory.address(x), x.rowBytes(), x.rows(), x.columns());
    }
    long rowBytes = (long) Math.ceilDiv(x.columns(), Lanes.COUNT) * Lanes.BYTES;
    long needed = rowBytes * x.rows();
    if (needed > paddedBytes) {
      paddedBytes = needed;
      padded = arena.allocate(needed, SCRATCH_ALIGNMENT).address();
    }
    for (int row = 0; row < x.rows(); row++) {
      long to = padded + row * rowBytes;
      Lanes.clear(to + rowBytes - Lanes.BYTES, Lanes.BYTES);
      Lanes.copy(NativeMemory.address(x) + row * x.rowBytes(), to, 4L * x.columns());
    }
    return new Input(padded, rowBytes, x.rows(), x.columns());
  }

  /** Few rows pass over a panel that stays in the first-level cache. */
  private int panelOutputs(Input input, int outputs, boolean isStored) {
    long fitting = PANEL_BYTES / ((long) input.vectors() * Lanes.BYTES);
    int most = input.rows <= FEW_ROWS && isStored ? FEW_ROWS_OUTPUTS : MAX_PANEL_OUTPUTS;
    int shared = outputs / (team.threads() * TILES_PER_THREAD);
    int wanted = (int) Math.min(Math.min(fitting, most), shared);
    return Math.max(wanted / PanelDecoder.WIDTH, 1) * PanelDecoder.WIDTH;
  }

  private void reservePanels(long bytes) {
    if (bytes > panelBytes) {
      panelBytes = Math.max(bytes, PANEL_BYTES);
      for (int worker = 0; worker < panels.length; worker++) {
        panels[worker] = arena.allocate(panelBytes, SCRATCH_ALIGNMENT).address();
      }
    }
  }

  /** A worker's share: some outputs of one matrix for all rows. */
  private record Tile(Matrix matrix, Input input, long outRowBytes, long panel, long sums) {
    void run(int first, int count) {
      RowProduct product = matrix.rowProduct;
      if (input.rows == 1 && product != null) {
        // Four rows a quarter of the tile apart, so that each is read on from where it ended: short
        // jumping streams would leave the hardware's prefetching behind.
        int quarter = count / PanelDecoder.WIDTH;
        for (int i = 0; i < quarter; i++) {
          long weights = matrix.weights + (first + i) * matrix.rowBytes;
          product.multiply(input.address, weights, quarter * matrix.rowBytes, input.columns, sums);
          for (int j = 0; j < PanelDecoder.WIDTH; j++) {
            finish(sums + (long) j * Lanes.BYTES, 0, first + i + j * quarter);
          }
        }
        int whole = quarter * PanelDecoder.WIDTH;
        multiply(first + whole, count - whole);
      } else {
        multiply(first, count);
      }
    }

    private void multiply(int first, int count) {
      decode(first, count);
      long quadBytes = (long) input.vectors() * PanelDecoder.STRIDE;
      int rowBlock = Math.toIntExact(Math.max(ROW_BLOCK_BYTES / input.rowBytes / 4, 1) * 4);
      for (int row = 0; row < input.rows; row += rowBlock) {
        int rows = Math.min(rowBlock, input.rows - row);
        for (int quad = 0; quad < count; quad += PanelDecoder.WIDTH) {
          int outputs = Math.min(PanelDecoder.WIDTH, count - quad);
          long weights = panel + quad / PanelDecoder.WIDTH * quadBytes;
          multiplyQuad(row, rows, weights, first + quad, outputs);
        }
      }
    }

    private void decode(int first, int count) {
      long quadBytes = (long) input.vectors() * PanelDecoder.STRIDE;
      for (int i = 0; i < count; i++) {
        long to =
            panel
                + i / PanelDecoder.WIDTH * quadBytes
                + (long) (i % PanelDecoder.WIDTH) * Lanes.BYTES;
        decodeRow(matrix.weights + (first + i) * matrix.rowBytes, to);
      }
    }

    private void decodeRow(long weights, long to) {
      int whole = input.columns / Lanes.COUNT * Lanes.COUNT;
      matrix.decoder.decode(weights, whole, to);
      if (whole < input.columns) {
        // Only types without blocks have such rows: the rest is decoded from a padded copy.
        int bytes = Math.toIntExact(matrix.rowBytes / input.columns);
        Lanes.clear(sums, Lanes.BYTES);
        Lanes.copy(weights + (long) whole * bytes, sums, (long) (input.columns - whole) * bytes);
        matrix.decoder.decode(
            sums, Lanes.COUNT, to + (long) (whole / Lanes.COUNT) * PanelDecoder.STRIDE);
      }
    }

    private void multiplyQuad(int row, int rows, long weights, int output, int outputs) {
      int vectors = input.vectors();
      int done = 0;
      for (; done + 4 <= rows; done += 4) {
        fourRows(input.row(row + done), input.rowBytes, weights, vectors, sums);
        finish(row + done, 4, output, outputs);
      }
      for (; done < rows; done++) {
        oneRow(input.row(row + done), weights, vectors, sums);
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
      float bias = matrix.bias == 0 ? 0f : Lanes.getFloat(matrix.bias + 4L * output);
      Lanes.setFloat(matrix.out + row * outRowBytes + 4L * output, sum + bias);
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
