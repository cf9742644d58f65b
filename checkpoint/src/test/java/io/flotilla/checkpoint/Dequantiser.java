package io.flotilla.checkpoint;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;

import java.lang.foreign.MemorySegment;

/** The values of a tensor's blocks, written from GGML's definition of its types. */
final class Dequantiser {
  private final MemorySegment data;
  private final ElementType type;

  private Dequantiser(MemorySegment data, ElementType type) {
    this.data = data;
    this.type = type;
  }

  static float[] values(StoredTensor tensor) {
    int elements =
        (int) tensor.shape().stream().mapToLong(Long::longValue).reduce(1, (a, b) -> a * b);
    Dequantiser reader = new Dequantiser(tensor.data(), tensor.type());
    float[] values = new float[elements];
    for (int i = 0; i < elements; i++) {
      long block = (long) (i / tensor.type().blockElements()) * tensor.type().blockBytes();
      values[i] = reader.value(block, i % tensor.type().blockElements());
    }
    return values;
  }

  private float value(long block, int i) {
    return switch (type) {
      case F32 -> Float.intBitsToFloat(data.get(DummyBlocks.INT, block));
      case F16 -> half(block);
      case BF16 -> Float.intBitsToFloat(data.get(DummyBlocks.SHORT, block) << 16);
      case Q8_0 -> half(block) * data.get(JAVA_BYTE, block + 2 + i);
      case Q4_0 -> half(block) * (nibble(block + 2, i, 16) - 8);
      case Q4_1 -> half(block) * nibble(block + 4, i, 16) + half(block + 2);
      case Q5_0 -> half(block) * (fifth(block + 2, i) - 16);
      case Q5_1 -> half(block) * fifth(block + 4, i) + half(block + 2);
      case Q4_K -> superBlock(block, i, nibble(block + 16 + i / 64 * 32L, i % 64, 32));
      case Q5_K ->
          superBlock(
              block,
              i,
              nibble(block + 48 + i / 64 * 32L, i % 64, 32)
                  + (unsigned(block + 16 + i % 32) >> (i / 32) & 1) * 16);
      case Q6_K -> sixBits(block, i);
    };
  }

  private float superBlock(long block, int i, int quant) {
    int sub = i / 32;
    long scales = block + 4;
    int scale;
    int minimum;
    if (sub < 4) {
      scale = unsigned(scales + sub) & 63;
      minimum = unsigned(scales + sub + 4) & 63;
    } else {
      int high = unsigned(scales + sub + 4);
      scale = (high & 15) | (unsigned(scales + sub - 4) >> 6) << 4;
      minimum = (high >> 4) | (unsigned(scales + sub) >> 6) << 4;
    }
    return half(block) * scale * quant - half(block + 2) * minimum;
  }

  private float sixBits(long block, int i) {
    int in = i % 128;
    int low = unsigned(block + i / 128 * 64L + in % 64) >> (in / 64 * 4) & 15;
    int high = unsigned(block + 128 + i / 128 * 32L + in % 32) >> (in / 32 * 2) & 3;
    return half(block + 208) * data.get(JAVA_BYTE, block + 192 + i / 16) * ((low | high << 4) - 32);
  }

  private int fifth(long bits, int i) {
    int high = data.get(DummyBlocks.INT, bits) >>> i & 1;
    return nibble(bits + 4, i, 16) | high << 4;
  }

  /** Low nibbles of {@code half} bytes hold the first elements, high ones the next. */
  private int nibble(long start, int i, int half) {
    int value = unsigned(start + i % half);
    return i < half ? value & 15 : value >> 4;
  }

  private int unsigned(long offset) {
    return Byte.toUnsignedInt(data.get(JAVA_BYTE, offset));
  }

  private float half(long offset) {
    return Float.float16ToFloat(data.get(DummyBlocks.SHORT, offset));
  }
}
