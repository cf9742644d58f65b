package io.flotilla.kernels.cuda;

import io.flotilla.kernels.Tensor;
import io.flotilla.kernels.TensorType;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Chooses how a linear map is computed: few rows by our own kernel, which reads the weights at the
 * speed of memory, more by cuBLASLt. Weights that follow each other in memory are one matrix.
 */
final class CudaLinear {
  /** Beyond this many rows cuBLASLt is faster. */
  static final int MOST_SKINNY_ROWS = 8;

  private static final int SKINNY_OUTPUTS = 16;
  private static final int SKINNY_THREADS = 256;

  /** As many on a multiprocessor have room for three tiles of weights ahead, more for two. */
  private static final int SKINNY_BLOCKS_FAR_AHEAD = 2;

  private static final int ADDERS = 256;

  private final Launcher launcher;
  private final CublasLt cublas;
  private final int multiprocessors;

  CudaLinear(Launcher launcher, CublasLt cublas, int multiprocessors) {
    this.launcher = launcher;
    this.cublas = cublas;
    this.multiprocessors = multiprocessors;
  }

  void apply(
      long stream, Tensor x, List<Tensor> weights, @Nullable List<Tensor> biases, Tensor out) {
    if (x.rows() == 0) {
      return;
    }
    int column = 0;
    for (int i = 0; i < weights.size(); ) {
      Tensor first = weights.get(i);
      int outputs = first.rows();
      int next = i + 1;
      while (next < weights.size() && follows(weights.get(next - 1), weights.get(next))) {
        outputs += weights.get(next++).rows();
      }
      multiply(stream, x, first, outputs, out.sliceColumns(column, outputs));
      column += outputs;
      i = next;
    }
    if (biases != null) {
      addBiases(stream, biases, out);
    }
  }

  private static boolean follows(Tensor first, Tensor second) {
    return first.stride() == second.stride()
        && first.columns() == second.columns()
        && CudaBuffer.address(first) + first.rows() * first.rowBytes()
            == CudaBuffer.address(second);
  }

  private void multiply(long stream, Tensor x, Tensor weight, int outputs, Tensor out) {
    boolean f32 = out.type() == TensorType.F32;
    if (x.rows() > MOST_SKINNY_ROWS) {
      CublasLt.Shape shape =
          new CublasLt.Shape(
              x.rows(), x.columns(), outputs, weight.stride(), x.stride(), out.stride(), f32);
      cublas.multiply(
          shape,
          CudaBuffer.address(weight),
          CudaBuffer.address(x),
          CudaBuffer.address(out),
          stream);
      launcher.launchedOther();
      return;
    }
    int blocks = Math.ceilDiv(outputs, SKINNY_OUTPUTS);
    int ahead = blocks <= SKINNY_BLOCKS_FAR_AHEAD * multiprocessors ? 3 : 2;
    launcher
        .pointer(CudaBuffer.address(weight))
        .number((long) weight.stride())
        .pointer(CudaBuffer.address(x))
        .number((long) x.stride())
        .number(x.rows())
        .number(x.columns())
        .number(outputs)
        .pointer(CudaBuffer.address(out))
        .number((long) out.stride())
        .launch(
            "skinny_ahead_" + ahead + (f32 ? "_f32" : ""),
            Launcher.Grid.of(blocks, SKINNY_THREADS),
            stream);
  }

  private void addBiases(long stream, List<Tensor> biases, Tensor out) {
    int column = 0;
    for (Tensor bias : biases) {
      Tensor columns = out.sliceColumns(column, bias.columns());
      launcher
          .pointer(CudaBuffer.address(columns))
          .number((long) out.stride())
          .pointer(CudaBuffer.address(bias))
          .number(bias.columns())
          .launch(
              out.type() == TensorType.F32 ? "add_bias_f32" : "add_bias",
              Launcher.Grid.of(Math.ceilDiv(bias.columns(), ADDERS), out.rows(), ADDERS),
              stream);
      column += bias.columns();
    }
  }
}
