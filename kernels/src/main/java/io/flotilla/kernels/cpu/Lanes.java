package io.flotilla.kernels.cpu;

import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;

/**
 * Loads and stores of vectors of the processor's preferred width, by address. All of memory is one
 * segment that never ends, so that the compiler has no bounds and no lifetime left to check in an
 * inner loop: {@link io.flotilla.kernels.Tensor} has checked them once for the whole operation.
 */
final class Lanes {
  static final VectorSpecies<Float> FLOATS = FloatVector.SPECIES_PREFERRED;

  /** Floats of a vector. */
  static final int COUNT = FLOATS.length();

  /** Bytes of a vector of floats. */
  static final int BYTES = COUNT * Float.BYTES;

  static final VectorSpecies<Integer> INTS = FLOATS.withLanes(int.class);
  static final VectorSpecies<Byte> NARROW_BYTES =
      VectorSpecies.of(byte.class, VectorShape.forBitSize(Math.max(64, COUNT * Byte.SIZE)));
  static final VectorSpecies<Short> NARROW_SHORTS =
      VectorSpecies.of(short.class, VectorShape.forBitSize(Math.max(64, COUNT * Short.SIZE)));

  private static final MemorySegment ALL = NativeMemory.ALL;
  private static final ByteOrder ORDER = ByteOrder.LITTLE_ENDIAN;

  private static final FloatVector HALF_REBIAS = FloatVector.broadcast(FLOATS, 0x1p112f);

  private Lanes() {}

  static FloatVector zero() {
    return FloatVector.zero(FLOATS);
  }

  static FloatVector broadcast(float value) {
    return FloatVector.broadcast(FLOATS, value);
  }

  static FloatVector load(long address) {
    return FloatVector.fromMemorySegment(FLOATS, ALL, address, ORDER);
  }

  static void store(FloatVector vector, long address) {
    vector.intoMemorySegment(ALL, address, ORDER);
  }

  /** As many bytes as a vector has floats, sign-extended. */
  static IntVector loadBytes(long address) {
    return (IntVector)
        ByteVector.fromMemorySegment(NARROW_BYTES, ALL, address, ORDER).castShape(INTS, 0);
  }

  /** As many bytes as a vector has floats, each as a float. */
  static FloatVector loadBytesAsFloats(long address) {
    return (FloatVector)
        ByteVector.fromMemorySegment(NARROW_BYTES, ALL, address, ORDER).castShape(FLOATS, 0);
  }

  /** BF16 numbers, widened. */
  static FloatVector loadBrains(long address) {
    return ((IntVector)
            ShortVector.fromMemorySegment(NARROW_SHORTS, ALL, address, ORDER).castShape(INTS, 0))
        .lanewise(VectorOperators.LSHL, Short.SIZE)
        .reinterpretAsFloats();
  }

  /** F16 numbers, widened: subnormal ones, infinities and NaN included. */
  static FloatVector loadHalves(long address) {
    IntVector half =
        (IntVector)
            ShortVector.fromMemorySegment(NARROW_SHORTS, ALL, address, ORDER).castShape(INTS, 0);
    IntVector magnitude = half.and(0x7FFF).lanewise(VectorOperators.LSHL, 13);
    IntVector sign = half.and(0x8000).lanewise(VectorOperators.LSHL, Short.SIZE);
    IntVector finite = magnitude.reinterpretAsFloats().mul(HALF_REBIAS).reinterpretAsInts();
    IntVector special = magnitude.or(0x7F800000);
    return finite
        .blend(special, magnitude.compare(VectorOperators.GE, 0x0F800000))
        .or(sign)
        .reinterpretAsFloats();
  }

  /**
   * The sum of a vector's lanes, halves onto halves. {@code reduceLanes} promises no order, and the
   * interpreter's differs from the compiler's.
   *
   * @param scratch of {@link #BYTES} bytes
   */
  static float sum(FloatVector vector, long scratch) {
    store(vector, scratch);
    return sumStored(scratch);
  }

  /** The sum of the lanes stored at an address, which it overwrites. */
  static float sumStored(long address) {
    if (COUNT == 16) {
      fold(FloatVector.SPECIES_256, address);
    }
    if (COUNT >= 8) {
      fold(FloatVector.SPECIES_128, address);
    }
    return (NativeMemory.getFloat(address) + NativeMemory.getFloat(address + 8))
        + (NativeMemory.getFloat(address + 4) + NativeMemory.getFloat(address + 12));
  }

  private static void fold(VectorSpecies<Float> half, long address) {
    FloatVector low = FloatVector.fromMemorySegment(half, ALL, address, ORDER);
    FloatVector high =
        FloatVector.fromMemorySegment(half, ALL, address + half.vectorByteSize(), ORDER);
    low.add(high).intoMemorySegment(ALL, address, ORDER);
  }

  /**
   * The exponential function of each lane, to 2 ulp, and zero below -87.3: the smallest result is
   * the smallest normal number. One sequence of operations for every lane on every path, so that a
   * value's result never depends on its place.
   *
   * <p>exp(x) = 2^n exp(r) with n = round(x / ln 2), and a polynomial of degree 6 in r.
   */
  static FloatVector exp(FloatVector x) {
    FloatVector bounded = x.min(88.3f).max(-87.3f);
    FloatVector shifted = bounded.fma(broadcast(1.442695f), broadcast(0x1.8p23f));
    FloatVector n = shifted.sub(0x1.8p23f);
    FloatVector r = n.fma(broadcast(-0.6933594f), bounded);
    r = n.fma(broadcast(2.1219444e-04f), r);
    FloatVector p = broadcast(1.9875691e-04f);
    p = p.fma(r, broadcast(0.0013981999f));
    p = p.fma(r, broadcast(0.008333452f));
    p = p.fma(r, broadcast(0.041665796f));
    p = p.fma(r, broadcast(0.16666666f));
    p = p.fma(r, broadcast(0.5f));
    p = p.fma(r.mul(r), r.add(1f));
    FloatVector power =
        shifted
            .reinterpretAsInts()
            .lanewise(VectorOperators.LSHL, 23)
            .add(127 << 23)
            .reinterpretAsFloats();
    return p.mul(power).blend(0f, x.compare(VectorOperators.LT, -87.3f));
  }
}
