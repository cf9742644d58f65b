package io.flotilla.kernels.cpu;

import io.flotilla.kernels.TensorType;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/**
 * Widens rows of weights, a block at a time, into a panel of F32: four outputs interleaved by
 * vectors, {@code [inputs / lanes][4][lanes]}. What is decoded is exact but for the one rounding
 * where a minimum is added, as in GGML's reference, so every path sees the same weights.
 */
interface PanelDecoder {
  /** Outputs that a panel interleaves. */
  int WIDTH = 4;

  /** Bytes from one vector of an output to its next in a panel. */
  int STRIDE = WIDTH * Lanes.BYTES;

  /**
   * Decodes one row.
   *
   * @param weights address of the row
   * @param inputs whole blocks, and whole vectors
   * @param panel address of the row's first vector
   */
  void decode(long weights, int inputs, long panel);

  /** The decoder of a type. */
  static PanelDecoder of(TensorType type) {
    return switch (type) {
      case F32 -> PanelDecoder::floats;
      case F16 -> PanelDecoder::halves;
      case BF16 -> PanelDecoder::brains;
      case Q8_0 -> PanelDecoder::q8;
      case Q4_0 -> (weights, inputs, panel) -> nibbles(weights, inputs, panel, TensorType.Q4_0);
      case Q4_1 -> (weights, inputs, panel) -> nibbles(weights, inputs, panel, TensorType.Q4_1);
      case Q5_0 -> (weights, inputs, panel) -> nibbles(weights, inputs, panel, TensorType.Q5_0);
      case Q5_1 -> (weights, inputs, panel) -> nibbles(weights, inputs, panel, TensorType.Q5_1);
      case Q4_K -> SuperBlocks::q4;
      case Q5_K -> SuperBlocks::q5;
      case Q6_K -> SuperBlocks::q6;
      case I32 -> throw new IllegalArgumentException("I32 is no type of weights");
    };
  }

  private static void floats(long weights, int inputs, long panel) {
    for (int i = 0; i < inputs; i += Lanes.COUNT, panel += STRIDE) {
      Lanes.store(Lanes.load(weights + 4L * i), panel);
    }
  }

  private static void halves(long weights, int inputs, long panel) {
    for (int i = 0; i < inputs; i += Lanes.COUNT, panel += STRIDE) {
      Lanes.store(Lanes.loadHalves(weights + 2L * i), panel);
    }
  }

  private static void brains(long weights, int inputs, long panel) {
    for (int i = 0; i < inputs; i += Lanes.COUNT, panel += STRIDE) {
      Lanes.store(Lanes.loadBrains(weights + 2L * i), panel);
    }
  }

  private static void q8(long weights, int inputs, long panel) {
    long block = weights;
    for (int i = 0; i < inputs; i += 32, block += TensorType.Q8_0.blockBytes()) {
      FloatVector scale = Lanes.broadcast(NativeMemory.getHalf(block));
      for (int j = 0; j < 32; j += Lanes.COUNT, panel += STRIDE) {
        Lanes.store(Lanes.loadBytesAsFloats(block + 2 + j).mul(scale), panel);
      }
    }
  }

  /** Blocks of 32 with a nibble each, elements 16 apart in one byte. */
  private static void nibbles(long weights, int inputs, long panel, TensorType type) {
    boolean hasMinimum = type == TensorType.Q4_1 || type == TensorType.Q5_1;
    boolean hasFifthBit = type == TensorType.Q5_0 || type == TensorType.Q5_1;
    int fifthBits = hasMinimum ? 4 : 2;
    int codes = fifthBits + (hasFifthBit ? 4 : 0);
    int center = hasMinimum ? 0 : hasFifthBit ? 16 : 8;
    IntVector index = IntVector.zero(Lanes.INTS).addIndex(1);
    long half = 16L / Lanes.COUNT * STRIDE;
    long block = weights;
    for (int i = 0; i < inputs; i += 32, block += type.blockBytes(), panel += 2 * half) {
      FloatVector scale = Lanes.broadcast(NativeMemory.getHalf(block));
      FloatVector minimum = Lanes.broadcast(hasMinimum ? NativeMemory.getHalf(block + 2) : 0f);
      int bits = hasFifthBit ? NativeMemory.getInt(block + fifthBits) : 0;
      long to = panel;
      for (int j = 0; j < 16; j += Lanes.COUNT, to += STRIDE) {
        IntVector packed = Lanes.loadBytes(block + codes + j);
        IntVector low = packed.and(15);
        IntVector high = packed.lanewise(VectorOperators.LSHR, 4).and(15);
        if (hasFifthBit) {
          low = low.or(fifthBit(bits, index.add(j)));
          high = high.or(fifthBit(bits, index.add(j + 16)));
        }
        store(low.sub(center), scale, minimum, to);
        store(high.sub(center), scale, minimum, to + half);
      }
    }
  }

  private static IntVector fifthBit(int bits, IntVector index) {
    return IntVector.broadcast(Lanes.INTS, bits)
        .lanewise(VectorOperators.LSHR, index)
        .and(1)
        .lanewise(VectorOperators.LSHL, 4);
  }

  private static void store(IntVector code, FloatVector scale, FloatVector minimum, long to) {
    FloatVector value = (FloatVector) code.castShape(Lanes.FLOATS, 0);
    Lanes.store(value.fma(scale, minimum), to);
  }

  /** GGML's super-blocks of 256 elements, whose scales are quantised themselves. */
  final class SuperBlocks {
    private static final int ELEMENTS = 256;

    private SuperBlocks() {}

    private static void q4(long weights, int inputs, long panel) {
      withMinima(weights, inputs, panel, TensorType.Q4_K);
    }

    private static void q5(long weights, int inputs, long panel) {
      withMinima(weights, inputs, panel, TensorType.Q5_K);
    }

    /** Scale, minimum, 12 bytes of sub-scales, for Q5_K 32 bytes of fifth bits, then nibbles. */
    private static void withMinima(long weights, int inputs, long panel, TensorType type) {
      boolean hasFifthBit = type == TensorType.Q5_K;
      long block = weights;
      long to = panel;
      for (int i = 0; i < inputs; i += ELEMENTS, block += type.blockBytes()) {
        float scale = NativeMemory.getHalf(block);
        float minimum = NativeMemory.getHalf(block + 2);
        long fifthBits = hasFifthBit ? block + 16 : 0;
        long codes = block + (hasFifthBit ? 48 : 16);
        for (int sub = 0; sub < 8; sub++) {
          FloatVector subScale = Lanes.broadcast(scale * subScale(block + 4, sub));
          FloatVector subMinimum = Lanes.broadcast(-(minimum * subMinimum(block + 4, sub)));
          long from = codes + (sub >> 1) * 32L;
          for (int j = 0; j < 32; j += Lanes.COUNT, to += STRIDE) {
            IntVector code =
                Lanes.loadBytes(from + j).lanewise(VectorOperators.LSHR, 4 * (sub & 1)).and(15);
            if (hasFifthBit) {
              IntVector bit =
                  Lanes.loadBytes(fifthBits + j).lanewise(VectorOperators.LSHR, sub).and(1);
              code = code.or(bit.lanewise(VectorOperators.LSHL, 4));
            }
            store(code, subScale, subMinimum, to);
          }
        }
      }
    }

    /** Six bits: the low ones of the first four in bytes 0-3, those of the rest spread. */
    private static int subScale(long scales, int sub) {
      return sub < 4
          ? NativeMemory.getByte(scales + sub) & 63
          : (NativeMemory.getByte(scales + sub + 4) & 15)
              | (NativeMemory.getByte(scales + sub - 4) & 0xC0) >> 2;
    }

    private static int subMinimum(long scales, int sub) {
      return sub < 4
          ? NativeMemory.getByte(scales + sub + 4) & 63
          : (NativeMemory.getByte(scales + sub + 4) & 0xF0) >> 4
              | (NativeMemory.getByte(scales + sub) & 0xC0) >> 2;
    }

    /** 128 bytes of low nibbles, 64 of high bit pairs, 16 signed sub-scales, the scale. */
    private static void q6(long weights, int inputs, long panel) {
      long block = weights;
      long to = panel;
      for (int i = 0; i < inputs; i += ELEMENTS, block += TensorType.Q6_K.blockBytes()) {
        float scale = NativeMemory.getHalf(block + 208);
        for (int part = 0; part < 8; part++) {
          // Parts of 32 elements; four of them share 64 bytes of nibbles and 32 of bit pairs.
          int quarter = part & 3;
          long low = block + (part >> 2) * 64L + (quarter & 1) * 32L;
          long high = block + 128 + (part >> 2) * 32L;
          for (int j = 0; j < 32; j += Lanes.COUNT, to += STRIDE) {
            int subScale = NativeMemory.getByte(block + 192 + 2L * part + (j >> 4));
            IntVector nibble =
                Lanes.loadBytes(low + j).lanewise(VectorOperators.LSHR, 4 * (quarter >> 1)).and(15);
            IntVector pair =
                Lanes.loadBytes(high + j).lanewise(VectorOperators.LSHR, 2 * quarter).and(3);
            IntVector code = nibble.or(pair.lanewise(VectorOperators.LSHL, 4)).sub(32);
            store(code, Lanes.broadcast(scale * subScale), Lanes.zero(), to);
          }
        }
      }
    }
  }
}
