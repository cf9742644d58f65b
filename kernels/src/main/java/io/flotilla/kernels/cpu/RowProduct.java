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
      case Q4_1 -> RowProduct::q4WithMinimum;
      case Q5_0, Q5_1, Q4_K, Q5_K, Q6_K, I32 -> null;
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

  /** One loop over vectors, because an inner loop over a block's few costs more than its body. */
  private static void q8(long x, long weights, long stride, int inputs, long sums) {
    FloatVector a0 = Lanes.zero();
    FloatVector a1 = a0;
    FloatVector a2 = a0;
    FloatVector a3 = a0;
    FloatVector s0 = a0;
    FloatVector s1 = a0;
    FloatVector s2 = a0;
    FloatVector s3 = a0;
    long w = weights;
    for (int i = 0; i < inputs; i += Lanes.COUNT, w += Lanes.COUNT) {
      if (i % 32 == 0) {
        s0 = Lanes.broadcast(NativeMemory.getHalf(w));
        s1 = Lanes.broadcast(NativeMemory.getHalf(w + stride));
        s2 = Lanes.broadcast(NativeMemory.getHalf(w + 2 * stride));
        s3 = Lanes.broadcast(NativeMemory.getHalf(w + 3 * stride));
        w += 2;
      }
      FloatVector x0 = Lanes.load(x + 4L * i);
      a0 = x0.fma(Lanes.loadBytesAsFloats(w).mul(s0), a0);
      a1 = x0.fma(Lanes.loadBytesAsFloats(w + stride).mul(s1), a1);
      a2 = x0.fma(Lanes.loadBytesAsFloats(w + 2 * stride).mul(s2), a2);
      a3 = x0.fma(Lanes.loadBytesAsFloats(w + 3 * stride).mul(s3), a3);
    }
    VectorLinear.storeFour(a0, a1, a2, a3, sums);
  }

  private static void q4(long x, long weights, long stride, int inputs, long sums) {
    nibbles(x, weights, stride, inputs, sums, TensorType.Q4_0);
  }

  private static void q4WithMinimum(long x, long weights, long stride, int inputs, long sums) {
    nibbles(x, weights, stride, inputs, sums, TensorType.Q4_1);
  }

  private static void nibbles(
      long x, long weights, long stride, int inputs, long sums, TensorType type) {
    nibblesOfTwo(x, weights, stride, inputs, sums, type);
    nibblesOfTwo(x, weights + 2 * stride, stride, inputs, sums + 2L * Lanes.BYTES, type);
  }

  /**
   * Two rows: more of them at once are more than the compiler inlines. A code and its scale and
   * minimum make a weight in one rounding, which for Q4_0 (minimum: -8 scales) is exact.
   */
  private static void nibblesOfTwo(
      long x, long weights, long stride, int inputs, long sums, TensorType type) {
    int codes = type == TensorType.Q4_1 ? 4 : 2;
    FloatVector a0 = Lanes.zero();
    FloatVector a1 = a0;
    long block = weights;
    long from = x;
    for (int i = 0; i < inputs; i += 32, block += type.blockBytes(), from += 128) {
      FloatVector s0 = Lanes.broadcast(NativeMemory.getHalf(block));
      FloatVector s1 = Lanes.broadcast(NativeMemory.getHalf(block + stride));
      FloatVector m0 = minimum(block, s0, type);
      FloatVector m1 = minimum(block + stride, s1, type);
      for (int j = 0; j < 16; j += Lanes.COUNT) {
        FloatVector x0 = Lanes.load(from + (long) j * Float.BYTES);
        long at = block + codes + j;
        a0 = x0.fma(low(at).fma(s0, m0), a0);
        a1 = x0.fma(low(at + stride).fma(s1, m1), a1);
      }
      for (int j = 0; j < 16; j += Lanes.COUNT) {
        FloatVector x0 = Lanes.load(from + 64 + (long) j * Float.BYTES);
        long at = block + codes + j;
        a0 = x0.fma(high(at).fma(s0, m0), a0);
        a1 = x0.fma(high(at + stride).fma(s1, m1), a1);
      }
    }
    Lanes.store(a0, sums);
    Lanes.store(a1, sums + Lanes.BYTES);
  }

  private static FloatVector minimum(long block, FloatVector scale, TensorType type) {
    return type == TensorType.Q4_1
        ? Lanes.broadcast(NativeMemory.getHalf(block + 2))
        : scale.mul(-8f);
  }

  private static FloatVector low(long address) {
    return (FloatVector) Lanes.loadBytes(address).and(15).castShape(Lanes.FLOATS, 0);
  }

  private static FloatVector high(long address) {
    IntVector code = Lanes.loadBytes(address).lanewise(VectorOperators.LSHR, 4).and(15);
    return (FloatVector) code.castShape(Lanes.FLOATS, 0);
  }
}
