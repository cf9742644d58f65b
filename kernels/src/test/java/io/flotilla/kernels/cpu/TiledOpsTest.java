package io.flotilla.kernels.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import io.flotilla.kernels.AttentionBatch;
import io.flotilla.kernels.AttentionShape;
import io.flotilla.kernels.Buffer;
import io.flotilla.kernels.KvCache;
import io.flotilla.kernels.Ops;
import io.flotilla.kernels.RopeTable;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import io.flotilla.kernels.TensorType;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.assertj.core.data.Offset;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.EnumSource.Mode;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Holds operations cut into tiles to the scalar ones, and to their word on other rows. */
abstract class TiledOpsTest {
  private static final int BLOCK = 16;

  private final CpuDevice device = open(2);
  private final CpuDevice single = open(1);
  private final CpuDevice oracle = CpuDevice.openScalar(1);
  private final Stream stream = device.openStream();
  private final SplittableRandom random = new SplittableRandom(7);

  /** A device with the operations under test. */
  abstract CpuDevice open(int threads);

  @AfterEach
  void close() {
    stream.close();
    device.close();
    single.close();
    oracle.close();
  }

  static List<Arguments> products() {
    List<Arguments> cases = new ArrayList<>();
    for (int rows : new int[] {1, 2, 3, 4, 5, 9, 65}) {
      for (int inputs : new int[] {1, 13, 16, 31, 207}) {
        cases.add(Arguments.of(TensorType.F32, rows, inputs, 7));
        cases.add(Arguments.of(TensorType.BF16, rows, inputs, 7));
      }
      for (TensorType type : TensorType.values()) {
        if (type != TensorType.I32) {
          cases.add(Arguments.of(type, rows, 256, 1));
          cases.add(Arguments.of(type, rows, 768, 70));
        }
      }
    }
    return cases;
  }

  @ParameterizedTest
  @MethodSource("products")
  void multipliesAsTheOracle(TensorType type, int rows, int inputs, int outputs) {
    Tensor x = floats(rows, inputs);
    List<Tensor> weights = List.of(weights(type, outputs, inputs), weights(type, 5, inputs));
    List<Tensor> biases = List.of(floats(1, outputs), floats(1, 5));
    float[] expected = linear(oracle.ops(), x, weights, biases);

    assertClose(linear(device.ops(), x, weights, biases), expected, inputs);
  }

  @ParameterizedTest
  @EnumSource(mode = Mode.EXCLUDE, names = "I32")
  void multipliesARowWhateverStandsBesideIt(TensorType type) {
    int outputs = 70;
    Tensor x = floats(65, 768);
    List<Tensor> weights = List.of(weights(type, outputs, 768));
    float[] together = linear(device.ops(), x, weights, null);
    for (int count : new int[] {1, 2, 3, 7, 16, 64}) {
      for (int first = 0; first + count <= 65; first += 13) {
        float[] alone = linear(single.ops(), x.sliceRows(first, count), weights, null);

        assertThat(alone)
            .isEqualTo(Arrays.copyOfRange(together, first * outputs, (first + count) * outputs));
      }
    }
  }

  private float[] linear(Ops ops, Tensor x, List<Tensor> weights, @Nullable List<Tensor> biases) {
    int outputs = weights.stream().mapToInt(Tensor::rows).sum();
    Tensor out = poisoned(x.rows(), outputs);
    ops.linear(stream, x, weights, biases, out);
    return values(out);
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 13, 16, 128, 207, 4098})
  void normalisesAsTheOracle(int columns) {
    Tensor x = floats(3, columns);
    Tensor weight = floats(1, columns);
    Tensor residual = floats(3, columns);
    float[] before = values(residual);
    Tensor expected = poisoned(3, columns);
    Tensor actual = poisoned(3, columns);
    oracle.ops().rmsNorm(stream, x, weight, 1e-6f, expected);
    device.ops().rmsNorm(stream, x, weight, 1e-6f, actual);
    assertClose(values(actual), values(expected), columns);

    oracle.ops().addRmsNorm(stream, residual, x, weight, 1e-6f, expected);
    float[] sums = values(residual);
    upload(before, residual);
    device.ops().addRmsNorm(stream, residual, x, weight, 1e-6f, actual);
    assertThat(values(residual)).isEqualTo(sums);
    assertClose(values(actual), values(expected), columns);
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 13, 16, 207, 4098})
  void gatesAsTheOracle(int columns) {
    Tensor x = scaled(floats(3, 2 * columns), 40f);
    Tensor expected = poisoned(3, columns);
    Tensor actual = poisoned(3, columns);
    oracle.ops().siluMultiply(stream, x, expected);
    device.ops().siluMultiply(stream, x, actual);

    assertClose(values(actual), values(expected), 40);
  }

  @ParameterizedTest
  @CsvSource({"9,3,64,false", "4,4,16,true", "16,2,128,false", "8,8,40,true", "40,2,80,false"})
  void attendsAsTheOracle(int heads, int kvHeads, int headDim, boolean interleaved) {
    Attention attention = new Attention(new AttentionShape(heads, kvHeads, headDim), interleaved);
    int[][] steps = {{0, 150}, {0, 37}, {5, 1}, {130, 3}};
    float[] expected = attention.run(oracle, steps);

    assertClose(attention.run(device, steps), expected, 150);
  }

  @Test
  void attendsARowWhateverStandsBesideIt() {
    Attention attention = new Attention(new AttentionShape(6, 2, 64), false);
    int columns = 6 * 64;
    float[] together = attention.run(device, new int[][] {{0, 150}, {0, 150}});
    for (int chunk : new int[] {1, 7, 16, 64}) {
      float[] apart = attention.runInChunks(single, 150, chunk);

      assertThat(apart).isEqualTo(Arrays.copyOf(together, 150 * columns));
    }
  }

  @ParameterizedTest
  @CsvSource({"2,4", "3,1", "4,2"})
  void mergesAttentionToTokensThatRanksHoldInTurns(int parts, int heads) {
    SpreadAttention spread = new SpreadAttention(parts, new AttentionShape(heads, 1, 40));
    float[] expected = spread.whole(oracle);

    assertClose(spread.merged(oracle), expected, 150);
    assertClose(spread.merged(device), expected, 150);
    assertThat(spread.merged(single)).isEqualTo(spread.merged(device));
  }

  /** Rows at positions 0 to 149 of a sequence, of which some parts hold nothing at first. */
  private final class SpreadAttention {
    private static final int ROWS = 150;
    private final int parts;
    private final AttentionShape shape;
    private final RopeTable rope;
    private final Tensor tokens;
    private final AttentionBatch batch;

    SpreadAttention(int parts, AttentionShape shape) {
      this.parts = parts;
      this.shape = shape;
      this.rope = new RopeTable(floats(ROWS, shape.headDim()), false);
      this.tokens = floats(ROWS, all().qkvColumns());
      int[] positions = IntStream.range(0, ROWS).toArray();
      this.batch =
          new AttentionBatch(
              ROWS,
              1,
              integers(1, new int[ROWS]),
              integers(1, positions),
              integers(1, 0, ROWS),
              integers(1, 3, 9, 0, 7, 1, 2, 8, 5, 4, 6));
    }

    private AttentionShape all() {
      return new AttentionShape(parts * shape.heads(), 1, shape.headDim());
    }

    float[] whole(CpuDevice device) {
      KvCache cache = device.allocateKvCache(all(), 10, BLOCK);
      Tensor qkv = copy(tokens);
      device.ops().rotateAndStore(stream, qkv, null, null, 0, rope, batch, cache);
      Tensor out = poisoned(ROWS, all().queryColumns());
      Tensor queries = qkv.sliceColumns(0, all().queryColumns());
      device.ops().attention(stream, queries, cache, batch, 0.1f, out);
      return values(out);
    }

    float[] merged(CpuDevice device) {
      Ops ops = device.ops();
      int columns = shape.queryColumns();
      int partColumns = columns + 2 * shape.heads();
      Tensor queries = poisoned(parts * ROWS, columns);
      List<Tensor> computed = new ArrayList<>();
      List<KvCache> caches = new ArrayList<>();
      for (int part = 0; part < parts; part++) {
        // Each rank has its own queries and the keys and values of all.
        Tensor qkv = poisoned(ROWS, shape.qkvColumns());
        ops.copyRows(stream, tokens.sliceColumns(part * columns, columns), cut(qkv, 0, columns));
        int rest = 2 * shape.headDim();
        ops.copyRows(stream, tokens.sliceColumns(parts * columns, rest), cut(qkv, columns, rest));
        KvCache cache = device.allocateKvCache(shape, 10, BLOCK).share(part, parts);
        ops.rotateAndStore(stream, qkv, null, null, 0, rope, batch, cache);
        ops.copyRows(stream, cut(qkv, 0, columns), queries.sliceRows(part * ROWS, ROWS));
        caches.add(cache);
      }
      for (KvCache cache : caches) {
        Tensor out = poisoned(parts * ROWS, partColumns);
        ops.attentionPart(stream, queries, cache, batch, 0.1f, out);
        computed.add(out);
      }
      Tensor merged = poisoned(ROWS, parts * columns);
      for (int part = 0; part < parts; part++) {
        Tensor received = poisoned(parts * ROWS, partColumns);
        for (int from = 0; from < parts; from++) {
          ops.copyRows(
              stream,
              computed.get(from).sliceRows(part * ROWS, ROWS),
              received.sliceRows(from * ROWS, ROWS));
        }
        ops.mergeAttention(stream, received, shape, cut(merged, part * columns, columns));
      }
      return values(merged);
    }

    private static Tensor cut(Tensor tensor, int from, int count) {
      return tensor.sliceColumns(from, count);
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2})
  void storesRowsThatCameFromOthersButNoPadding(int parts) {
    AttentionShape shape = new AttentionShape(2, 1, 24);
    KvCache cache = device.allocateKvCache(shape, 3, BLOCK).share(parts - 1, parts);
    Tensor rows = floats(3, shape.keyValueColumns());
    int[] positions = {5, -1, 6};
    AttentionBatch batch =
        new AttentionBatch(
            3, 0, integers(1, 0, 0, 0), integers(1, positions), integers(1, 0), integers(1, 1, 0));
    device.ops().store(stream, rows, batch, cache);

    KvCache expected = oracle.allocateKvCache(shape, 3, BLOCK).share(parts - 1, parts);
    oracle.ops().store(stream, rows, batch, expected);
    float[] stored = bufferValues(cache.values());
    assertThat(stored).isEqualTo(bufferValues(expected.values()));
    assertThat(bufferValues(cache.keys())).isEqualTo(bufferValues(expected.keys()));
    for (int row = 0; row < 3; row++) {
      if (positions[row] >= 0 && positions[row] % parts == parts - 1) {
        int place = (BLOCK + positions[row] / parts) * 32;
        int values = row * shape.keyValueColumns() + 24;
        assertThat(Arrays.copyOfRange(stored, place, place + 24))
            .isEqualTo(Arrays.copyOfRange(values(rows), values, values + 24));
        Arrays.fill(stored, place, place + 24, 0);
      }
    }
    assertThat(stored).containsOnly(0);
  }

  @Test
  void choosesTheRowsOfRanksAndSumsWhatTheySendBack() {
    // Of 6 experts, 2 of each rank: the largest two logits of a row are its experts.
    Tensor router = Tensor.allocate(device, TensorType.F32, 3, 6);
    upload(
        new float[] {
          9, 8, 0, 0, 0, 0, //
          0, 0, 0, 9, 8, 0, //
          0, 9, 0, 0, 0, 8
        },
        router);
    Tensor chosen = integers(1, new int[9]);
    Tensor counts = integers(1, new int[3]);
    device.ops().chooseRows(stream, router, 0, 2, 2, chosen, counts);
    assertThat(integerValues(counts)).containsExactly(2, 1, 2);
    assertThat(Arrays.copyOf(integerValues(chosen), 5)).containsExactly(0, 2, 1, 1, 2);

    Tensor x = floats(5, 300);
    Tensor out = poisoned(4, 300);
    device.ops().sumRows(stream, x, chosen.sliceColumns(0, 5), out);
    float[] from = values(x);
    float[] sums = values(out);
    for (int i = 0; i < 300; i++) {
      assertThat(sums[i]).isEqualTo(from[i]);
      assertThat(sums[300 + i]).isEqualTo(from[600 + i] + from[900 + i]);
      assertThat(sums[600 + i]).isEqualTo(from[300 + i] + from[1200 + i]);
      assertThat(sums[900 + i]).isZero();
    }
  }

  /** Sequences of the same tokens, in caches that hold the tokens before the step. */
  private final class Attention {
    private static final int POSITIONS = 160;
    private final AttentionShape shape;
    private final RopeTable rope;
    private final Tensor tokens;
    private final Tensor norm;

    Attention(AttentionShape shape, boolean interleaved) {
      this.shape = shape;
      this.rope = new RopeTable(floats(POSITIONS, shape.headDim()), interleaved);
      this.tokens = floats(POSITIONS, shape.qkvColumns());
      this.norm = floats(1, shape.headDim());
    }

    /** Runs, for each sequence, {@code [tokens before, tokens now]}. */
    float[] run(CpuDevice device, int[][] steps) {
      KvCache cache = device.allocateKvCache(shape, steps.length * POSITIONS / BLOCK, BLOCK);
      for (int sequence = 0; sequence < steps.length; sequence++) {
        if (steps[sequence][0] > 0) {
          step(device, cache, new int[][] {{0, steps[sequence][0]}}, sequence);
        }
      }
      return step(device, cache, steps, 0);
    }

    float[] runInChunks(CpuDevice device, int length, int chunk) {
      KvCache cache = device.allocateKvCache(shape, POSITIONS / BLOCK, BLOCK);
      float[] all = new float[length * shape.queryColumns()];
      for (int from = 0; from < length; from += chunk) {
        int count = Math.min(chunk, length - from);
        float[] part = step(device, cache, new int[][] {{from, count}}, 0);
        System.arraycopy(part, 0, all, from * shape.queryColumns(), part.length);
      }
      return all;
    }

    private float[] step(CpuDevice device, KvCache cache, int[][] steps, int firstSequence) {
      int rows = Arrays.stream(steps).mapToInt(step -> step[1]).sum();
      int columns = POSITIONS / BLOCK;
      int[] sequences = new int[rows];
      int[] positions = new int[rows];
      int[] firstRows = new int[steps.length + 1];
      int[] tables = new int[steps.length * columns];
      Tensor qkv = poisoned(rows, shape.qkvColumns());
      int row = 0;
      for (int i = 0; i < steps.length; i++) {
        for (int j = 0; j < columns; j++) {
          // Blocks in no order, those of a sequence apart from each other.
          tables[i * columns + j] = j * (cache.blocks() / columns) + firstSequence + i;
        }
        for (int j = 0; j < steps[i][1]; j++, row++) {
          sequences[row] = i;
          positions[row] = steps[i][0] + j;
          device
              .ops()
              .gatherRows(stream, tokens, integers(1, positions[row]), qkv.sliceRows(row, 1));
        }
        firstRows[i + 1] = row;
      }
      AttentionBatch batch =
          new AttentionBatch(
              rows,
              steps.length,
              integers(1, sequences),
              integers(1, positions),
              integers(1, firstRows),
              integers(steps.length, tables));
      device.ops().rotateAndStore(stream, qkv, norm, norm, 1e-6f, rope, batch, cache);
      Tensor out = poisoned(rows, shape.queryColumns());
      Tensor queries = qkv.sliceColumns(0, shape.queryColumns());
      device.ops().attention(stream, queries, cache, batch, 0.1f, out);
      return values(out);
    }
  }

  private Tensor weights(TensorType type, int outputs, int inputs) {
    Tensor weights = Tensor.allocate(device, type, outputs, inputs);
    MemorySegment memory = NativeMemory.segment(weights);
    if (type == TensorType.F32) {
      return floats(outputs, inputs);
    }
    for (long i = 0; i < memory.byteSize(); i++) {
      memory.set(ValueLayout.JAVA_BYTE, i, (byte) random.nextInt());
    }
    for (long block = 0; block < memory.byteSize(); block += type.blockBytes()) {
      smallNumbers(memory, block, type);
    }
    return weights;
  }

  /** Overwrites a block's numbers that could be infinite or no numbers. */
  private void smallNumbers(MemorySegment memory, long block, TensorType type) {
    ValueLayout.OfShort layout = NativeMemory.SHORT;
    short half = Float.floatToFloat16((float) random.nextDouble(-0.1, 0.1));
    short other = Float.floatToFloat16((float) random.nextDouble(-0.1, 0.1));
    switch (type) {
      case BF16 -> {
        int bits = Float.floatToIntBits((float) random.nextDouble(-1, 1));
        memory.set(layout, block, (short) (bits >> 16));
      }
      case Q6_K -> memory.set(layout, block + 208, half);
      case Q4_1, Q5_1, Q4_K, Q5_K -> {
        memory.set(layout, block, half);
        memory.set(layout, block + 2, other);
      }
      default -> memory.set(layout, block, half);
    }
  }

  private Tensor floats(int rows, int columns) {
    Tensor tensor = Tensor.allocate(device, TensorType.F32, rows, columns);
    for (long i = 0; i < (long) rows * columns; i++) {
      float value = (float) random.nextDouble(-1, 1);
      NativeMemory.segment(tensor).set(NativeMemory.FLOAT, 4 * i, value);
    }
    return tensor;
  }

  private static Tensor scaled(Tensor tensor, float factor) {
    float[] values = values(tensor);
    for (int i = 0; i < values.length; i++) {
      values[i] *= factor;
    }
    upload(values, tensor);
    return tensor;
  }

  private Tensor copy(Tensor tensor) {
    Tensor copy = poisoned(tensor.rows(), tensor.columns());
    upload(values(tensor), copy);
    return copy;
  }

  private static float[] bufferValues(Buffer buffer) {
    return NativeMemory.segment(buffer).toArray(ValueLayout.JAVA_FLOAT);
  }

  private static int[] integerValues(Tensor tensor) {
    return NativeMemory.segment(tensor).toArray(ValueLayout.JAVA_INT);
  }

  private Tensor integers(int rows, int... values) {
    Tensor tensor = Tensor.allocate(device, TensorType.I32, rows, values.length / rows);
    MemorySegment.copy(values, 0, NativeMemory.segment(tensor), NativeMemory.INT, 0, values.length);
    return tensor;
  }

  private Tensor poisoned(int rows, int columns) {
    Tensor tensor = Tensor.allocate(device, TensorType.F32, rows, columns);
    NativeMemory.segment(tensor).fill((byte) 0xFF);
    return tensor;
  }

  private static void upload(float[] values, Tensor tensor) {
    MemorySegment.copy(
        values, 0, NativeMemory.segment(tensor), NativeMemory.FLOAT, 0, values.length);
  }

  private static float[] values(Tensor tensor) {
    return NativeMemory.segment(tensor).toArray(ValueLayout.JAVA_FLOAT);
  }

  /** Within 2^-20 of the largest value, times the square root of the length of a sum. */
  private static void assertClose(float[] actual, float[] expected, int length) {
    float largest = 0;
    for (float value : expected) {
      largest = Math.max(largest, Math.abs(value));
    }
    double tolerance = largest * Math.sqrt(length) * 0x1p-20;
    assertThat(actual).hasSameSizeAs(expected);
    for (int i = 0; i < expected.length; i++) {
      assertThat((double) actual[i])
          .as("element %d", i)
          .isCloseTo(expected[i], Offset.offset(tolerance));
    }
  }
}
