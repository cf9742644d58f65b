package io.flotilla.kernels.cpu;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;

import io.flotilla.kernels.TensorType;
import java.lang.foreign.MemorySegment;

/**
 * Widens stored elements to floats, one block at a time, in the order of operations of GGML's
 * {@code dequantize_row_*} (ggml-quants.c), so that the results are its own to the bit.
 *
 * <p>In all layouts {@code d} is the scale and {@code m} the minimum, halves; a sign in front of
 * the quants is their bias. Of a byte of quants the low nibble belongs to the first half of a group
 * of elements and the high one to the second.
 *
 * <pre>
 *   Q8_0  d | 32 signed bytes
 *   Q4_0  d | 16 bytes of nibbles - 8
 *   Q4_1  d | m | 16 bytes of nibbles
 *   Q5_0  d | 32 fifth bits | 16 bytes of nibbles, - 16
 *   Q5_1  d | m | 32 fifth bits | 16 bytes of nibbles
 *   Q4_K  d | m | 12 bytes of 6-bit scales and minima | 4 groups of 32 bytes of nibbles
 *   Q5_K  d | m | 12 bytes of 6-bit scales and minima | 32 bytes of fifth bits | as Q4_K
 *   Q6_K  128 bytes of low nibbles | 64 bytes of high pairs of bits | 16 signed scales | d, - 32
 * </pre>
 */
public final class BlockFormat {
  private BlockFormat() {}

  /**
   * Widens {@code elements} consecutive elements of a row.
   *
   * @param offset the byte of {@code from} where the first element's block starts
   * @param elements whole blocks of {@code type}
   * @param to gets the floats, from its first byte
   * @throws IllegalArgumentException when the elements do not end on a block border, or are
   *     integers
   */
  public static void widen(
      TensorType type, MemorySegment from, long offset, int elements, MemorySegment to) {
    long end = offset + type.bytes(elements);
    long target = 0;
    for (long block = offset; block < end; block += type.blockBytes()) {
      widenBlock(type, from, block, to, target);
      target += (long) type.blockElements() * Float.BYTES;
    }
  }

  private static void widenBlock(
      TensorType type, MemorySegment from, long block, MemorySegment to, long target) {
    switch (type) {
      case F32 -> put(to, target, 0, from.get(NativeMemory.FLOAT, block));
      case F16 -> put(to, target, 0, NativeMemory.half(from, block));
      case BF16 ->
          put(to, target, 0, Float.intBitsToFloat(from.get(NativeMemory.SHORT, block) << 16));
      case Q8_0 -> bytes(from, block, to, target);
      case Q4_0 -> nibbles(from, block, to, target);
      case Q4_1 -> nibblesWithMinimum(from, block, to, target);
      case Q5_0 -> fives(from, block, to, target);
      case Q5_1 -> fivesWithMinimum(from, block, to, target);
      case Q4_K -> fourBitSuperBlock(from, block, to, target);
      case Q5_K -> fiveBitSuperBlock(from, block, to, target);
      case Q6_K -> sixBitSuperBlock(from, block, to, target);
      case I32 -> throw new IllegalArgumentException("integers are not widened to floats");
    }
  }

  private static void bytes(MemorySegment from, long block, MemorySegment to, long target) {
    float scale = NativeMemory.half(from, block);
    for (int i = 0; i < 32; i++) {
      put(to, target, i, scale * from.get(JAVA_BYTE, block + 2 + i));
    }
  }

  private static void nibbles(MemorySegment from, long block, MemorySegment to, long target) {
    float scale = NativeMemory.half(from, block);
    for (int i = 0; i < 16; i++) {
      int quants = unsigned(from, block + 2 + i);
      put(to, target, i, scale * ((quants & 15) - 8));
      put(to, target, i + 16, scale * ((quants >> 4) - 8));
    }
  }

  private static void nibblesWithMinimum(
      MemorySegment from, long block, MemorySegment to, long target) {
    float scale = NativeMemory.half(from, block);
    float minimum = NativeMemory.half(from, block + 2);
    for (int i = 0; i < 16; i++) {
      int quants = unsigned(from, block + 4 + i);
      put(to, target, i, scale * (quants & 15) + minimum);
      put(to, target, i + 16, scale * (quants >> 4) + minimum);
    }
  }

  private static void fives(MemorySegment from, long block, MemorySegment to, long target) {
    float scale = NativeMemory.half(from, block);
    int fifths = from.get(NativeMemory.INT, block + 2);
    for (int i = 0; i < 16; i++) {
      int quants = unsigned(from, block + 6 + i);
      put(to, target, i, scale * (((quants & 15) | fifth(fifths, i)) - 16));
      put(to, target, i + 16, scale * (((quants >> 4) | fifth(fifths, i + 16)) - 16));
    }
  }

  private static void fivesWithMinimum(
      MemorySegment from, long block, MemorySegment to, long target) {
    float scale = NativeMemory.half(from, block);
    float minimum = NativeMemory.half(from, block + 2);
    int fifths = from.get(NativeMemory.INT, block + 4);
    for (int i = 0; i < 16; i++) {
      int quants = unsigned(from, block + 8 + i);
      put(to, target, i, scale * ((quants & 15) | fifth(fifths, i)) + minimum);
      put(to, target, i + 16, scale * ((quants >> 4) | fifth(fifths, i + 16)) + minimum);
    }
  }

  private static void fourBitSuperBlock(
      MemorySegment from, long block, MemorySegment to, long target) {
    for (int sub = 0; sub < 8; sub++) {
      float scale = NativeMemory.half(from, block) * scale(from, block + 4, sub);
      float minimum = NativeMemory.half(from, block + 2) * minimum(from, block + 4, sub);
      for (int i = 0; i < 32; i++) {
        int quant = nibble(from, block + 16 + sub / 2 * 32L + i, sub);
        put(to, target, sub * 32 + i, scale * quant - minimum);
      }
    }
  }

  private static void fiveBitSuperBlock(
      MemorySegment from, long block, MemorySegment to, long target) {
    for (int sub = 0; sub < 8; sub++) {
      float scale = NativeMemory.half(from, block) * scale(from, block + 4, sub);
      float minimum = NativeMemory.half(from, block + 2) * minimum(from, block + 4, sub);
      for (int i = 0; i < 32; i++) {
        int quant =
            nibble(from, block + 48 + sub / 2 * 32L + i, sub)
                | fifth(unsigned(from, block + 16 + i), sub);
        put(to, target, sub * 32 + i, scale * quant - minimum);
      }
    }
  }

  private static void sixBitSuperBlock(
      MemorySegment from, long block, MemorySegment to, long target) {
    for (int sub = 0; sub < 8; sub++) {
      long lows = block + sub / 4 * 64L + sub % 2 * 32L;
      long highs = block + 128 + sub / 4 * 32L;
      for (int i = 0; i < 32; i++) {
        int element = sub * 32 + i;
        float scale =
            NativeMemory.half(from, block + 208) * from.get(JAVA_BYTE, block + 192 + element / 16);
        int low = nibble(from, lows + i, sub / 2);
        int high = (unsigned(from, highs + i) >> (sub % 4 * 2)) & 3;
        put(to, target, element, scale * ((low | (high << 4)) - 32));
      }
    }
  }

  /** The 6-bit scale of one of 8 sub-blocks; those of the last 4 have their high bits elsewhere. */
  private static int scale(MemorySegment from, long scales, int sub) {
    if (sub < 4) {
      return unsigned(from, scales + sub) & 63;
    }
    return (unsigned(from, scales + sub + 4) & 15) | ((unsigned(from, scales + sub - 4) >> 6) << 4);
  }

  /** The 6-bit minimum of one of 8 sub-blocks. */
  private static int minimum(MemorySegment from, long scales, int sub) {
    if (sub < 4) {
      return unsigned(from, scales + sub + 4) & 63;
    }
    return (unsigned(from, scales + sub + 4) >> 4) | ((unsigned(from, scales + sub) >> 6) << 4);
  }

  /** The low nibble of a byte for even groups, the high one for odd groups. */
  private static int nibble(MemorySegment from, long offset, int group) {
    int quants = unsigned(from, offset);
    return group % 2 == 0 ? quants & 15 : quants >> 4;
  }

  /** Bit {@code index}, moved to where the fifth bit of a quant stands. */
  private static int fifth(int bits, int index) {
    return ((bits >>> index) & 1) << 4;
  }

  private static int unsigned(MemorySegment from, long offset) {
    return Byte.toUnsignedInt(from.get(JAVA_BYTE, offset));
  }

  private static void put(MemorySegment to, long target, int element, float value) {
    to.set(NativeMemory.FLOAT, target + (long) element * Float.BYTES, value);
  }
}
