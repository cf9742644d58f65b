package io.flotilla.kernels.cpu;

import io.flotilla.kernels.TensorType;

/**
 * Some outputs of one matrix for all rows of a product.
 *
 * @param x address of the first row, F32; rows are {@code xStride} bytes apart
 * @param weights address of the first output's weights; the next are {@code weightStride} on
 * @param bias address of the first output's bias, or 0 for none
 * @param out address of the first row's first output; rows are {@code outStride} bytes apart
 */
record LinearTile(
    long x,
    long xStride,
    int rows,
    int columns,
    TensorType type,
    long weights,
    long weightStride,
    int outputs,
    long bias,
    long out,
    long outStride) {
  /** At most {@code count} outputs from the {@code first}. */
  LinearTile slice(int first, int count) {
    return new LinearTile(
        x,
        xStride,
        rows,
        columns,
        type,
        weights + first * weightStride,
        weightStride,
        Math.min(count, outputs - first),
        bias == 0 ? 0 : bias + 4L * first,
        out + 4L * first,
        outStride);
  }

  /** The same product of rows that lie elsewhere. */
  LinearTile withRows(long address, long stride) {
    return new LinearTile(
        address, stride, rows, columns, type, weights, weightStride, outputs, bias, out, outStride);
  }
}
