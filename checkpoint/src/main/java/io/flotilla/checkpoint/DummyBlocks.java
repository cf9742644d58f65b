package io.flotilla.checkpoint;

import static java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_SHORT_UNALIGNED;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/**
 * Writes random blocks of one tensor. The random bits are SplitMix64 of a counter: word {@code w}
 * of a tensor is {@code mix(key + w * golden)}, so a block needs no block before it. All values are
 * uniform around their mean.
 */
sealed interface DummyBlocks {
  ValueLayout.OfShort SHORT = JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  ValueLayout.OfInt INT = JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  ValueLayout.OfLong LONG = JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  /**
   * Writes the blocks {@code from} to {@code to} (exclusive) of the tensor.
   *
   * @param from a multiple of 8
   */
  void fill(MemorySegment data, long from, long to);

  /** The writer of a tensor's blocks. Quantised types have mean 0 whatever is asked for. */
  static DummyBlocks of(ElementType type, long key, float mean, float deviation) {
    return type.blockElements() == 1
        ? new Plain(type, key, Plain.values(type, mean, deviation))
        : Quantised.of(type, key, deviation);
  }

  /** The 256 values that a random byte picks from. */
  static float[] values(float mean, float deviation) {
    float[] values = new float[256];
    for (int i = 0; i < values.length; i++) {
      double unit = (i - 127.5) / 127.5 * Math.sqrt(3);
      values[i] = (float) (mean + deviation * unit);
    }
    return values;
  }

  /** The key of a tensor's random bits. */
  static long key(long seed, String name) {
    long key = mix(seed);
    for (int i = 0; i < name.length(); i++) {
      key = mix(key + name.charAt(i));
    }
    return key;
  }

  private static long mix(long value) {
    long bits = (value ^ (value >>> 30)) * 0xbf58476d1ce4e5b9L;
    bits = (bits ^ (bits >>> 27)) * 0x94d049bb133111ebL;
    return bits ^ (bits >>> 31);
  }

  private static long word(long key, long index) {
    return mix(key + index * 0x9e3779b97f4a7c15L);
  }

  /**
   * F32, F16 and BF16: each random byte picks one of 256 values.
   *
   * @param values the bits of the values in the type
   */
  @SuppressWarnings("ArrayRecordComponent") // A table read once an element.
  record Plain(ElementType type, long key, int[] values) implements DummyBlocks {
    private static int[] values(ElementType type, float mean, float deviation) {
      float[] numbers = DummyBlocks.values(mean, deviation);
      int[] values = new int[numbers.length];
      for (int i = 0; i < values.length; i++) {
        float value = numbers[i];
        values[i] =
            switch (type) {
              case F32 -> Float.floatToRawIntBits(value);
              case F16 -> Short.toUnsignedInt(Float.floatToFloat16(value));
              case BF16 -> (Float.floatToRawIntBits(value) + 0x8000) >>> 16;
              default -> throw new IllegalArgumentException(type + " has blocks");
            };
      }
      return values;
    }

    @Override
    public void fill(MemorySegment data, long from, long to) {
      long whole = to & -8;
      if (type == ElementType.F32) {
        for (long element = from; element < whole; element += 8) {
          fillWords(data, element);
        }
      } else {
        for (long element = from; element < whole; element += 8) {
          fillHalves(data, element);
        }
      }
      for (long element = Math.max(from, whole); element < to; element++) {
        int value = values[(int) (word(key, element >>> 3) >>> (8 * (element & 7))) & 255];
        if (type == ElementType.F32) {
          data.set(INT, element * 4, value);
        } else {
          data.set(SHORT, element * 2, (short) value);
        }
      }
    }

    /** Eight elements of 32 bits. */
    private void fillWords(MemorySegment data, long element) {
      long bits = word(key, element >>> 3);
      for (int lane = 0; lane < 8; lane++) {
        data.set(INT, (element + lane) * 4, values[(int) (bits >>> (8 * lane)) & 255]);
      }
    }

    /** Eight elements of 16 bits, written as two words: this is most of a model. */
    private void fillHalves(MemorySegment data, long element) {
      long bits = word(key, element >>> 3);
      data.set(LONG, element * 2, fourHalves((int) bits));
      data.set(LONG, element * 2 + 8, fourHalves((int) (bits >>> 32)));
    }

    private long fourHalves(int bits) {
      int low = values[bits & 255] | values[bits >>> 8 & 255] << 16;
      int high = values[bits >>> 16 & 255] | values[bits >>> 24] << 16;
      return Integer.toUnsignedLong(low) | (long) high << 32;
    }
  }

  /**
   * The block types: one run of random bytes (quants, and the small scales of K types) and one or
   * two F16 scales, whose sign is random so that blocks whose quants have a mean cancel out.
   *
   * @param scale F16 bits of the block's scale
   * @param scaleAt its offset in the block
   * @param minimum F16 bits of the block's minimum
   * @param minimumAt its offset in the block, or -1 where the type has none
   * @param randomAt offset of the random bytes, whose number is a multiple of four
   */
  record Quantised(
      ElementType type,
      long key,
      short scale,
      int scaleAt,
      short minimum,
      int minimumAt,
      int randomAt)
      implements DummyBlocks {
    /** The deviations are those of the type's value at scale 1 over uniformly random bytes. */
    static Quantised of(ElementType type, long key, float deviation) {
      return switch (type) {
        case Q8_0 -> withoutMinimum(type, key, deviation / 73.90, 0);
        case Q4_0 -> withoutMinimum(type, key, deviation / 4.637, 0);
        case Q5_0 -> withoutMinimum(type, key, deviation / 9.247, 0);
        case Q6_K -> withoutMinimum(type, key, deviation / 1365.7, 208);
        case Q4_1 -> withMinimum(type, key, deviation / 4.610, -7.5);
        case Q5_1 -> withMinimum(type, key, deviation / 9.233, -15.5);
        case Q4_K -> withMinimum(type, key, deviation / 258.3, 7.5);
        case Q5_K -> withMinimum(type, key, deviation / 526.9, 15.5);
        case F32, F16, BF16 -> throw new IllegalArgumentException(type + " has no blocks");
      };
    }

    private static Quantised withoutMinimum(ElementType type, long key, double scale, int scaleAt) {
      short bits = Float.floatToFloat16((float) scale);
      return new Quantised(type, key, bits, scaleAt, (short) 0, -1, scaleAt == 0 ? 2 : 0);
    }

    /** The minimum, a multiple of the scale, centres the values. */
    private static Quantised withMinimum(
        ElementType type, long key, double scale, double minimumOverScale) {
      short bits = Float.floatToFloat16((float) scale);
      short minimum = Float.floatToFloat16((float) (scale * minimumOverScale));
      return new Quantised(type, key, bits, 0, minimum, 2, 4);
    }

    @Override
    public void fill(MemorySegment data, long from, long to) {
      int random = type.blockBytes() - (minimumAt < 0 ? 2 : 4);
      int words = random / 8;
      for (long block = from; block < to; block++) {
        long base = block * type.blockBytes();
        long firstWord = block * (words + 1);
        for (int i = 0; i < words; i++) {
          data.set(LONG, base + randomAt + i * 8L, word(key, firstWord + i));
        }
        long last = word(key, firstWord + words);
        if (random % 8 != 0) {
          data.set(INT, base + randomAt + words * 8L, (int) last);
        }
        int sign = (int) (last >>> 63) << 15;
        data.set(SHORT, base + scaleAt, (short) (scale ^ sign));
        if (minimumAt >= 0) {
          data.set(SHORT, base + minimumAt, (short) (minimum ^ sign));
        }
      }
    }
  }
}
