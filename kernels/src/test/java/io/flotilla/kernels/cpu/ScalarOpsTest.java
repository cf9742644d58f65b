package io.flotilla.kernels.cpu;

import static io.flotilla.kernels.cpu.Tensors.row;
import static org.assertj.core.api.Assertions.assertThat;

import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import io.flotilla.kernels.TensorType;
import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.List;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The operations without a cache, against the same computed in double precision. */
class ScalarOpsTest {
  private final Arena arena = Arena.ofShared();
  private final Tensors tensors = new Tensors(arena, 1);
  private final ScalarOps ops = new ScalarOps();
  private final Stream stream = new CpuStream();

  @AfterEach
  void free() {
    arena.close();
  }

  @ParameterizedTest
  @EnumSource(names = "I32", mode = EnumSource.Mode.EXCLUDE)
  void embedsRowsOfEveryType(TensorType type) {
    Tensor table = tensors.stored(type, 5, 2 * 256);
    Tensor out = tensors.floats(3, 2 * 256);
    ops.embed(stream, table, tensors.integers(4, 0, 4), out);
    assertThat(row(out, 0)).isEqualTo(row(table, 4)).isEqualTo(row(out, 2));
    assertThat(row(out, 1)).isEqualTo(row(table, 0)).isNotEqualTo(row(out, 0));
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 13, 64, 207, 4098})
  void normalisesEachRow(int columns) {
    Tensor x = tensors.random(3, columns);
    Tensor weight = tensors.random(1, columns);
    Tensor out = tensors.floats(3, columns);
    ops.rmsNorm(stream, x, weight, 1e-2f, out);
    for (int r = 0; r < 3; r++) {
      assertClose(row(out, r), normalised(row(x, r), row(weight, 0), 1e-2f));
    }
  }

  @Test
  void normalisesInPlace() {
    Tensor x = tensors.random(2, 13);
    Tensor weight = tensors.random(1, 13);
    double[] expected = normalised(row(x, 1), row(weight, 0), 1e-5f);
    ops.rmsNorm(stream, x, weight, 1e-5f, x);
    assertClose(row(x, 1), expected);
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 13, 207})
  void addsToTheResidualAndNormalisesTheSum(int columns) {
    Tensor residual = tensors.random(2, columns);
    Tensor delta = tensors.random(2, columns);
    Tensor weight = tensors.random(1, columns);
    Tensor out = tensors.floats(2, columns);
    float[] before = row(residual, 1);
    ops.addRmsNorm(stream, residual, delta, weight, 1e-5f, out);
    float[] sum = row(residual, 1);
    for (int i = 0; i < columns; i++) {
      assertThat(sum[i]).isEqualTo(before[i] + row(delta, 1)[i]);
    }
    assertClose(row(out, 1), normalised(sum, row(weight, 0), 1e-5f));
  }

  @ParameterizedTest
  @EnumSource(names = "I32", mode = EnumSource.Mode.EXCLUDE)
  void multipliesWithEveryType(TensorType type) {
    Tensor x = tensors.random(3, 512);
    Tensor weight = tensors.stored(type, 7, 512);
    Tensor out = tensors.floats(3, 7);
    ops.linear(stream, x, List.of(weight), null, out);
    for (int r = 0; r < 3; r++) {
      assertClose(row(out, r), product(row(x, r), weight));
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 13, 207, 4098})
  void concatenatesProductsOfSeveralMatricesWithTheirBiases(int inputs) {
    Tensor x = tensors.random(2, inputs);
    List<Tensor> weights = List.of(tensors.random(5, inputs), tensors.random(1, inputs));
    List<Tensor> biases = List.of(tensors.random(1, 5), tensors.random(1, 1));
    Tensor out = tensors.floats(2, 6);
    ops.linear(stream, x, weights, biases, out);
    for (int r = 0; r < 2; r++) {
      double[] expected = Arrays.copyOf(product(row(x, r), weights.get(0)), 6);
      expected[5] = product(row(x, r), weights.get(1))[0] + row(biases.get(1), 0)[0];
      for (int i = 0; i < 5; i++) {
        expected[i] += row(biases.get(0), 0)[i];
      }
      assertClose(row(out, r), expected);
    }
  }

  @Test
  void multipliesWithAColumnShardOfAMatrixByAViewOfARow() {
    Tensor x = tensors.random(3, 96).sliceColumns(32, 64);
    Tensor weight = tensors.stored(TensorType.Q8_0, 7, 128).sliceColumns(64, 64);
    Tensor out = tensors.floats(3, 7);
    ops.linear(stream, x, List.of(weight), null, out);
    assertClose(row(out, 2), product(row(x, 2), weight));
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 13, 207})
  void gatesWithSilu(int columns) {
    Tensor gateUp = tensors.random(3, 2 * columns);
    Tensor out = tensors.floats(3, columns);
    ops.siluMultiply(stream, gateUp, out);
    for (int r = 0; r < 3; r++) {
      double[] expected = new double[columns];
      for (int i = 0; i < columns; i++) {
        double gate = row(gateUp, r)[i];
        expected[i] = gate / (1 + Math.exp(-gate)) * row(gateUp, r)[columns + i];
      }
      assertClose(row(out, r), expected);
    }
  }

  @Test
  void siluOfVeryNegativeGatesIsZeroAndNotANumber() {
    Tensor gateUp = tensors.random(1, 2);
    NativeMemory.segment(gateUp).set(NativeMemory.FLOAT, 0, -1000f);
    Tensor out = tensors.random(1, 1);
    ops.siluMultiply(stream, gateUp, out);
    assertThat(row(out, 0)[0]).isZero();
  }

  @Test
  void gathersRows() {
    Tensor x = tensors.random(5, 13);
    Tensor out = tensors.floats(3, 13);
    ops.gatherRows(stream, x, tensors.integers(4, 0, 4), out);
    assertThat(row(out, 0)).isEqualTo(row(x, 4)).isEqualTo(row(out, 2));
    assertThat(row(out, 1)).isEqualTo(row(x, 0));
  }

  @Test
  void severalThreadsGiveTheSameBits() {
    Tensor x = tensors.random(5, 207);
    List<Tensor> weights = List.of(tensors.random(31, 207));
    Tensor alone = tensors.floats(5, 31);
    Tensor together = tensors.floats(5, 31);
    ops.linear(stream, x, weights, null, alone);
    try (ThreadTeam team = new ThreadTeam(3)) {
      new ScalarOps(team).linear(stream, x, weights, null, together);
    }
    for (int r = 0; r < 5; r++) {
      assertThat(row(together, r)).isEqualTo(row(alone, r));
    }
  }

  private static double[] normalised(float[] x, float[] weight, float epsilon) {
    double squares = 0;
    for (float value : x) {
      squares += (double) value * value;
    }
    double[] result = new double[x.length];
    for (int i = 0; i < x.length; i++) {
      result[i] = x[i] / Math.sqrt(squares / x.length + epsilon) * weight[i];
    }
    return result;
  }

  private static double[] product(float[] x, Tensor weight) {
    double[] result = new double[weight.rows()];
    for (int output = 0; output < result.length; output++) {
      float[] weights = row(weight, output);
      for (int i = 0; i < x.length; i++) {
        result[output] += (double) x[i] * weights[i];
      }
    }
    return result;
  }

  /** Within what float sums of some thousand terms of size one may be off. */
  private static void assertClose(float[] actual, double[] expected) {
    assertThat(actual).hasSameSizeAs(expected);
    for (int i = 0; i < actual.length; i++) {
      double tolerance = 2e-5 * Math.max(1, Math.abs(expected[i]));
      assertThat((double) actual[i])
          .as("element %s", i)
          .isCloseTo(expected[i], Offset.offset(tolerance));
    }
  }
}
