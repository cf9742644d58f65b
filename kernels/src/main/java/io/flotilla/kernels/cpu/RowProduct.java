package io.flotilla.kernels.cpu;

import io.flotilla.kernels.TensorType;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;
import org.jspecify.annotations.Nullable;

/**
 * One row of activations times four rows of weights, each vector of weights widened in registers
 * and used at once: what decoding one sequence is bound by is reading the weights. The order of the
 * sums is that of {@link VectorLinear}.
 */
@FunctionalInterface
interface RowProduct {
  /**
   * @param x address of the row, F32
   * @param weights address of the first row of weights
   * @param stride bytes from one row of weights to the next
   * @param inputs elements of a row: whole blocks, and whole vectors
   * @param sums where the four accumulators are stored
   */
  void multiply(long x, long weights, long stride, int inputs, long sums);

  /** The product for a type, or null where weights go through a panel for one row too. */
  static @Nullable RowProduct of(TensorType type) {
    return switch (type) {
      case F32 -> RowProduct::floats;
      case F16 -> RowProduct::halves;
      case BF16 -> RowProduct::brains;
      case Q8_0 -> RowProduct::q8;
      case Q4_0 -> RowProduct::q4;
      case Q4_1, Q5_0, Q5_1, Q4_K, Q5_K, Q6_K, I32 -> null;
    };
  }

  private static void floats(long x, long weights, long stride, int inputs, long sums) {
    FloatVector a0 = Lanes.zero();
    FloatVector a1 = Lanes.zero();
    FloatVector a2 = Lanes.zero();
    FloatVector a3 = Lanes.zero();
    for (long i = 0; i < 4L * inputs; i += Lanes.BYTES) {
      FloatVector x0 = Lanes.load(x + i);
      a0 = x0.fma(Lanes.load(weights + i), a0);
      a1 = x0.fma(Lanes.load(weights + stride + i), a1);
      a2 = x0.fma(Lanes.load(weights + 2 * stride + i), a2);
      a3 = x0.fma(Lanes.load(weights + 3 * stride + i), a3);
    }
    VectorLinear.storeFour(a0, a1, a2, a3, sums);
  }

  private static void halves(long x, long weights, long stride, int inputs, long sums) {
    FloatVector a0 = Lanes.zero();
    FloatVector a1 = Lanes.zero();
    FloatVector a2 = Lanes.zero();
    FloatVector a3 = Lanes.zero();
    long w = weights;
    for (long i = 0; i < 4L * inputs; i += Lanes.BYTES, w += Lanes.BYTES / 2) {
      FloatVector x0 = Lanes.load(x + i);
      a0 = x0.fma(Lanes.loadHalves(w), a0);
      a1 = x0.fma(Lanes.loadHalves(w + stride), a1);
      a2 = x0.fma(Lanes.loadHalves(w + 2 * stride), a2);
      a3 = x0.fma(Lanes.loadHalves(w + 3 * stride), a3);
    }
    VectorLinear.storeFour(a0, a1, a2, a3, sums);
  }

  private static void brains(long x, long weights, long stride, int inputs, long sums) {
    FloatVector a0 = Lanes.zero();
    FloatVector a1 = Lanes.zero();
    FloatVector a2 = Lanes.zero();
    FloatVector a3 = Lanes.zero();
    long w = weights;
    for (long i = 0; i < 4L * inputs; i += Lanes.BYTES, w += Lanes.BYTES / 2) {
      FloatVector x0 = Lanes.load(x + i);
      a0 = x0.fma(Lanes.loadBrains(w), a0);
      a1 = x0.fma(Lanes.loadBrains(w + stride), a1);
      a2 = x0.fma(Lanes.loadBrains(w + 2 * stride), a2);
      a3 = x0.fma(Lanes.loadBrains(w + 3 * stride), a3);
    }
    VectorLinear.storeFour(a0, a1, a2, a3, sums);
  }

  private static void q8(long x, long weights, long stride, int inputs, long sums) {
    FloatVector a0 = Lanes.zero();
    FloatVector a1 = Lanes.zero();
    FloatVector a2 = Lanes.zero();
    FloatVector a3 = Lanes.zero();
    long block = weights;
    long from = x;
    for (int i = 0; i < inputs; i += 32, block += TensorType.Q8_0.blockBytes()) {
      FloatVector s0 = Lanes.broadcast(Lanes.getHalf(block));
      FloatVector s1 = Lanes.broadcast(Lanes.getHalf(block + stride));
      FloatVector s2 = Lanes.broadcast(Lanes.getHalf(block + 2 * stride));
      FloatVector s3 = Lanes.broadcast(Lanes.getHalf(block + 3 * stride));
      for (int j = 2; j < 34; j += Lanes.COUNT, from += Lanes.BYTES) {
        FloatVector x0 = Lanes.load(from);
        long w = block + j;
        a0 = x0.fma(Lanes.loadBytesAsFloats(w).mul(s0), a0);
        a1 = x0.fma(Lanes.loadBytesAsFloats(w + stride).mul(s1), a1);
        a2 = x0.fma(Lanes.loadBytesAsFloats(w + 2 * stride).mul(s2), a2);
        a3 = x0.fma(Lanes.loadBytesAsFloats(w + 3 * stride).mul(s3), a3);
      }
    }
    VectorLinear.storeFour(a0, a1, a2, a3, sums);
  }

  private static void q4(long x, long weights, long stride, int inputs, long sums) {
    FloatVector a0 = Lanes.zero();
    FloatVector a1 = Lanes.zero();
    FloatVector a2 = Lanes.zero();
    FloatVector a3 = Lanes.zero();
    long block = weights;
    long from = x;
    for (int i = 0; i < inputs; i += 32, block += TensorType.Q4_0.blockBytes()) {
      FloatVector s0 = Lanes.broadcast(Lanes.getHalf(block));
      FloatVector s1 = Lanes.broadcast(Lanes.getHalf(block + stride));
      FloatVector s2 = Lanes.broadcast(Lanes.getHalf(block + 2 * stride));
      FloatVector s3 = Lanes.broadcast(Lanes.getHalf(block + 3 * stride));
      for (int j = 0; j < 32; j += Lanes.COUNT, from += Lanes.BYTES) {
        FloatVector x0 = Lanes.load(from);
        long w = block + 2 + (j & 15);
        int shift = (j >> 4) * 4;
        a0 = x0.fma(nibble(w, shift).mul(s0), a0);
        a1 = x0.fma(nibble(w + stride, shift).mul(s1), a1);
        a2 = x0.fma(nibble(w + 2 * stride, shift).mul(s2), a2);
        a3 = x0.fma(nibble(w + 3 * stride, shift).mul(s3), a3);
      }
    }
    VectorLinear.storeFour(a0, a1, a2, a3, sums);
  }

  private static FloatVector nibble(long address, int shift) {
    IntVector code = Lanes.loadBytes(address).lanewise(VectorOperators.LSHR, shift).and(15).sub(8);
    return (FloatVector) code.castShape(Lanes.FLOATS, 0);
  }
}
