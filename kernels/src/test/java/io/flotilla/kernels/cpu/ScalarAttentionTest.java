package io.flotilla.kernels.cpu;

import static io.flotilla.kernels.cpu.Tensors.row;
import static org.assertj.core.api.Assertions.assertThat;

import io.flotilla.kernels.AttentionBatch;
import io.flotilla.kernels.AttentionShape;
import io.flotilla.kernels.Buffer;
import io.flotilla.kernels.KvCache;
import io.flotilla.kernels.RopeTable;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import io.flotilla.kernels.TensorType;
import java.lang.foreign.Arena;
import java.util.Arrays;
import org.assertj.core.data.Offset;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Rotation, the paged cache and attention, against the same computed in double precision. */
class ScalarAttentionTest {
  private static final int BLOCK_SIZE = 4;
  private static final float EPSILON = 1e-3f;
  private static final float SCALE = 0.37f;

  private final Arena arena = Arena.ofShared();
  private final Tensors tensors = new Tensors(arena, 2);
  private final ScalarOps ops = new ScalarOps();
  private final Stream stream = new CpuStream();

  @AfterEach
  void free() {
    arena.close();
  }

  @ParameterizedTest
  @CsvSource({"false, false", "false, true", "true, false", "true, true"})
  void normalisesAndRotatesQueriesAndKeysAndLeavesValues(boolean interleaved, boolean norms) {
    AttentionShape shape = new AttentionShape(4, 2, 6);
    Tensor qkv = tensors.random(2, shape.qkvColumns());
    Tensor queryNorm = norms ? tensors.random(1, 6) : null;
    Tensor keyNorm = norms ? tensors.random(1, 6) : null;
    RopeTable rope = new RopeTable(tensors.random(8, 6), interleaved);
    float[] before = row(qkv, 1);
    ops.rotateAndStore(
        stream, qkv, queryNorm, keyNorm, EPSILON, rope, batch(2, 5), cache(shape, 4));
    float[] after = row(qkv, 1);
    for (int head = 0; head < 6; head++) {
      double[] expected = normalised(slice(before, head, 6), head < 4 ? queryNorm : keyNorm);
      rotate(expected, row(rope.angles(), 6), interleaved);
      assertClose(slice(after, head, 6), expected);
    }
    assertThat(slice(after, 6, 6)).isEqualTo(slice(before, 6, 6));
    assertThat(slice(after, 7, 6)).isEqualTo(slice(before, 7, 6));
  }

  @Test
  void storesKeysAndValuesByBlockHeadAndToken() {
    AttentionShape shape = new AttentionShape(2, 2, 6);
    KvCache cache = cache(shape, 4);
    Tensor qkv = tensors.random(2, shape.qkvColumns());
    RopeTable rope = new RopeTable(tensors.random(8, 6), false);
    // Positions 3 and 4: the last token of block 3 and the first of block 2.
    ops.rotateAndStore(stream, qkv, null, null, EPSILON, rope, batch(2, 3), cache);
    for (int head = 0; head < 2; head++) {
      assertThat(stored(cache.keys(), (3 * 2 + head) * BLOCK_SIZE + 3))
          .isEqualTo(slice(row(qkv, 0), 2 + head, 6));
      assertThat(stored(cache.values(), (3 * 2 + head) * BLOCK_SIZE + 3))
          .isEqualTo(slice(row(qkv, 0), 4 + head, 6));
      assertThat(stored(cache.keys(), (2 * 2 + head) * BLOCK_SIZE))
          .isEqualTo(slice(row(qkv, 1), 2 + head, 6));
      assertThat(stored(cache.values(), (2 * 2 + head) * BLOCK_SIZE))
          .isEqualTo(slice(row(qkv, 1), 4 + head, 6));
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 4, 5, 13})
  void attendsCausallyToThePositionsBefore(int tokens) {
    AttentionShape shape = new AttentionShape(6, 2, 8);
    Tensor qkv = tensors.random(tokens, shape.qkvColumns());
    Tensor out = run(shape, qkv, 0, cache(shape, 4));
    float[][] rows = rows(qkv);
    for (int position = 0; position < tokens; position++) {
      for (int head = 0; head < 6; head++) {
        assertClose(
            slice(row(out, position), head, 8), attended(rows, position, head, head / 3, shape));
      }
    }
  }

  @Test
  void chunksGiveTheBitsOfTheWhole() {
    AttentionShape shape = new AttentionShape(4, 2, 8);
    Tensor qkv = tensors.random(13, shape.qkvColumns());
    Tensor whole = run(shape, copy(qkv), 0, cache(shape, 4));
    KvCache cache = cache(shape, 4);
    int position = 0;
    for (int length : new int[] {1, 6, 1, 5}) {
      Tensor part = run(shape, copy(qkv.sliceRows(position, length)), position, cache);
      for (int r = 0; r < length; r++) {
        assertThat(row(part, r)).isEqualTo(row(whole, position + r));
      }
      position += length;
    }
  }

  @Test
  void sequencesOfABatchDoNotSeeEachOther() {
    AttentionShape shape = new AttentionShape(2, 1, 4);
    Tensor qkv = tensors.random(5, shape.qkvColumns());
    Tensor second = copy(qkv.sliceRows(2, 3));
    Tensor alone = run(shape, second, 0, cache(shape, 4));
    KvCache cache = cache(shape, 4);
    AttentionBatch both =
        new AttentionBatch(
            5,
            2,
            tensors.integers(0, 0, 1, 1, 1),
            tensors.integers(0, 1, 0, 1, 2),
            tensors.integers(0, 2, 5),
            tensors.integers(2, new int[] {1, 0, 2, 3}));
    Tensor out = tensors.floats(5, shape.queryColumns());
    ops.rotateAndStore(stream, qkv, null, null, EPSILON, still(4), both, cache);
    ops.attention(stream, queries(qkv, shape), cache, both, SCALE, out);
    for (int r = 0; r < 3; r++) {
      assertThat(row(out, 2 + r)).isEqualTo(row(alone, r));
    }
  }

  @Test
  void largeScoresDoNotOverflow() {
    AttentionShape shape = new AttentionShape(1, 1, 2);
    Tensor qkv = tensors.random(3, shape.qkvColumns());
    for (int r = 0; r < 3; r++) {
      // Query (1000, 0) and key (1, ..): scores of exactly 1000 times the scale.
      set(qkv, r, 0, 1000f);
      set(qkv, r, 1, 0f);
      set(qkv, r, 2, 1f);
    }
    Tensor out = run(shape, qkv, 0, cache(shape, 4));
    assertClose(row(out, 2), attended(rows(qkv), 2, 0, 0, shape));
  }

  private Tensor run(AttentionShape shape, Tensor qkv, int firstPosition, KvCache cache) {
    AttentionBatch batch = batch(qkv.rows(), firstPosition);
    Tensor out = tensors.floats(qkv.rows(), shape.queryColumns());
    ops.rotateAndStore(stream, qkv, null, null, EPSILON, still(shape.headDim()), batch, cache);
    ops.attention(stream, queries(qkv, shape), cache, batch, SCALE, out);
    return out;
  }

  /** One sequence in blocks 3, 2, 1 and 0. */
  private AttentionBatch batch(int rows, int firstPosition) {
    int[] positions = new int[rows];
    Arrays.setAll(positions, i -> firstPosition + i);
    return new AttentionBatch(
        rows,
        1,
        tensors.integers(new int[rows]),
        tensors.integers(positions),
        tensors.integers(0, rows),
        tensors.integers(3, 2, 1, 0));
  }

  private KvCache cache(AttentionShape shape, int blocks) {
    int bytes = blocks * (int) KvLayout.blockBytes(shape, BLOCK_SIZE);
    return new KvCache(
        shape,
        blocks,
        BLOCK_SIZE,
        new CpuBuffer(arena.allocate(bytes, 64)),
        new CpuBuffer(arena.allocate(bytes, 64)));
  }

  /** Rotations by nothing, for 16 positions. */
  private RopeTable still(int headDim) {
    Tensor angles = tensors.floats(16, headDim);
    for (int position = 0; position < 16; position++) {
      for (int i = 0; i < headDim / 2; i++) {
        set(angles, position, i, 1f);
      }
    }
    return new RopeTable(angles, false);
  }

  private static void set(Tensor tensor, int row, int column, float value) {
    long offset = row * tensor.rowBytes() + (long) column * Float.BYTES;
    NativeMemory.segment(tensor).set(NativeMemory.FLOAT, offset, value);
  }

  private Tensor copy(Tensor tensor) {
    Tensor copy = tensors.floats(tensor.rows(), tensor.columns());
    NativeMemory.segment(copy).copyFrom(NativeMemory.segment(tensor));
    return copy;
  }

  private static Tensor queries(Tensor qkv, AttentionShape shape) {
    return qkv.sliceColumns(0, shape.queryColumns());
  }

  private static float[] stored(Buffer buffer, int vector) {
    return row(Tensor.of(buffer, TensorType.F32, vector + 1, 6), vector);
  }

  private static float[][] rows(Tensor tensor) {
    float[][] rows = new float[tensor.rows()][];
    Arrays.setAll(rows, i -> row(tensor, i));
    return rows;
  }

  private static float[] slice(float[] row, int head, int headDim) {
    return Arrays.copyOfRange(row, head * headDim, (head + 1) * headDim);
  }

  private static double[] normalised(float[] x, @Nullable Tensor weight) {
    double squares = 0;
    for (float value : x) {
      squares += (double) value * value;
    }
    double[] result = new double[x.length];
    for (int i = 0; i < x.length; i++) {
      result[i] =
          weight == null
              ? x[i]
              : x[i] / Math.sqrt(squares / x.length + EPSILON) * row(weight, 0)[i];
    }
    return result;
  }

  /** Turns the pairs as the complex numbers that they are. */
  private static void rotate(double[] x, float[] angles, boolean interleaved) {
    int half = x.length / 2;
    for (int i = 0; i < half; i++) {
      int real = interleaved ? 2 * i : i;
      int imaginary = interleaved ? real + 1 : i + half;
      double turned = x[real] * angles[i] - x[imaginary] * angles[half + i];
      x[imaginary] = x[real] * angles[half + i] + x[imaginary] * angles[i];
      x[real] = turned;
    }
  }

  private static double[] attended(
      float[][] qkv, int position, int head, int kvHead, AttentionShape shape) {
    int headDim = shape.headDim();
    float[] query = slice(qkv[position], head, headDim);
    double[] scores = new double[position + 1];
    for (int i = 0; i <= position; i++) {
      float[] key = slice(qkv[i], shape.heads() + kvHead, headDim);
      for (int j = 0; j < headDim; j++) {
        scores[i] += (double) query[j] * key[j] * SCALE;
      }
    }
    double largest = Arrays.stream(scores).max().orElseThrow();
    double sum = Arrays.stream(scores).map(score -> Math.exp(score - largest)).sum();
    double[] result = new double[headDim];
    for (int i = 0; i <= position; i++) {
      float[] value = slice(qkv[i], shape.heads() + shape.kvHeads() + kvHead, headDim);
      for (int j = 0; j < headDim; j++) {
        result[j] += Math.exp(scores[i] - largest) / sum * value[j];
      }
    }
    return result;
  }

  private static void assertClose(float[] actual, double[] expected) {
    assertThat(actual).hasSameSizeAs(expected);
    for (int i = 0; i < actual.length; i++) {
      assertThat((double) actual[i])
          .as("element %s", i)
          .isCloseTo(expected[i], Offset.offset(1e-5));
    }
  }
}
