package io.flotilla.kernels.cuda;

import static io.flotilla.kernels.TensorType.BF16;
import static io.flotilla.kernels.TensorType.F32;

import io.flotilla.kernels.TensorType;
import io.flotilla.kernels.cuda.DevicePair.Pair;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The operations of a GPU against the scalar ones, over the same inputs. */
class CudaOpsTest extends TestOnTwoDevices {
  private static final float EPSILON = 1e-6f;

  @ParameterizedTest
  @CsvSource({
    "1, 384, 96",
    "1, 4096, 1000",
    "3, 576, 200",
    "8, 4096, 512",
    "13, 1536, 333",
    "16, 768, 64",
    "17, 4096, 256",
    "32, 384, 1024",
    "64, 2048, 512",
    "300, 576, 192",
    "257, 1032, 96"
  })
  void multiplies(int rows, int inputs, int outputs) {
    Pair x = devices.random(rows, inputs, BF16);
    List<Pair> weights =
        List.of(
            devices.random(outputs, inputs, BF16),
            devices.random(64, inputs, BF16),
            devices.random(32, inputs, BF16));
    List<Pair> biases =
        List.of(
            devices.random(1, outputs, F32),
            devices.random(1, 64, F32),
            devices.random(1, 32, F32));
    for (TensorType type : List.of(BF16, F32)) {
      for (boolean biased : new boolean[] {false, true}) {
        Pair out = devices.poisoned(rows, outputs + 96, type);
        devices
            .gpu
            .ops()
            .linear(
                devices.gpuStream,
                x.gpu(),
                weights.stream().map(Pair::gpu).toList(),
                biased ? biases.stream().map(Pair::gpu).toList() : null,
                out.gpu());
        devices
            .cpu
            .ops()
            .linear(
                devices.cpuStream,
                x.cpu(),
                weights.stream().map(Pair::cpu).toList(),
                biased ? biases.stream().map(Pair::cpu).toList() : null,
                out.cpu());
        devices.assertClose(
            "linear " + rows + " x " + inputs + " -> " + outputs + " " + type + " " + biased, out);
      }
    }
  }

  @ParameterizedTest
  @CsvSource({"1, 384", "5, 576", "64, 4096", "2, 8192"})
  void normalises(int rows, int columns) {
    Pair residual = devices.random(rows, columns, F32);
    Pair delta = devices.random(rows, columns, BF16);
    Pair weight = devices.random(1, columns, F32);
    Pair out = devices.poisoned(rows, columns, BF16);
    devices.gpu.ops().rmsNorm(devices.gpuStream, residual.gpu(), weight.gpu(), EPSILON, out.gpu());
    devices.cpu.ops().rmsNorm(devices.cpuStream, residual.cpu(), weight.cpu(), EPSILON, out.cpu());
    devices.assertClose("rmsNorm " + rows + " x " + columns, out);
    Pair sum = devices.poisoned(rows, columns, BF16);
    devices
        .gpu
        .ops()
        .addRmsNorm(
            devices.gpuStream, residual.gpu(), delta.gpu(), weight.gpu(), EPSILON, sum.gpu());
    devices
        .cpu
        .ops()
        .addRmsNorm(
            devices.cpuStream, residual.cpu(), delta.cpu(), weight.cpu(), EPSILON, sum.cpu());
    devices.assertClose("addRmsNorm " + rows + " x " + columns, sum);
    devices.assertClose("its residual", residual);
  }

  @ParameterizedTest
  @ValueSource(ints = {8, 1024, 1544, 12288})
  void mixesGates(int columns) {
    Pair gateUp = devices.random(7, 2 * columns, BF16);
    Pair out = devices.poisoned(7, columns, BF16);
    devices.gpu.ops().siluMultiply(devices.gpuStream, gateUp.gpu(), out.gpu());
    devices.cpu.ops().siluMultiply(devices.cpuStream, gateUp.cpu(), out.cpu());
    devices.assertClose("siluMultiply " + columns, out);
  }

  @Test
  void looksUpAndGathers() {
    Pair table = devices.random(50, 384, BF16);
    Pair ids = devices.integers(1, 3, 49, 0, 3, 17);
    Pair out = devices.poisoned(5, 384, F32);
    devices.gpu.ops().embed(devices.gpuStream, table.gpu(), ids.gpu(), out.gpu());
    devices.cpu.ops().embed(devices.cpuStream, table.cpu(), ids.cpu(), out.cpu());
    devices.assertClose("embed", out);
    Pair gathered = devices.poisoned(5, 384, BF16);
    devices.gpu.ops().gatherRows(devices.gpuStream, table.gpu(), ids.gpu(), gathered.gpu());
    devices.cpu.ops().gatherRows(devices.cpuStream, table.cpu(), ids.cpu(), gathered.cpu());
    devices.assertClose("gatherRows", gathered);
  }

  @ParameterizedTest
  @CsvSource({
    "8, 4, 64, false, true",
    "9, 3, 64, true, false",
    "32, 8, 128, false, true",
    "4, 4, 128, false, false",
    "40, 2, 128, false, true"
  })
  void attends(int heads, int kvHeads, int headDim, boolean interleaved, boolean norms) {
    AttentionRun run = new AttentionRun(devices, heads, kvHeads, headDim, interleaved, norms);
    List<int[]> steps = new ArrayList<>();
    steps.add(new int[] {70, 300, 33, 1});
    steps.add(new int[] {1, 50, 1, 64});
    steps.add(new int[] {1, 1, 1, 1});
    steps.add(new int[] {1, 200, 17, 2});
    steps.add(new int[] {1, 1, 1, 1});
    // Long enough on the average for the large tiles.
    steps.add(new int[] {600, 1, 700, 450});
    for (int[] rows : steps) {
      devices.assertClose(run.describe(rows), run.step(rows));
    }
  }

  @Test
  void attendsOverLongContexts() {
    AttentionRun run = new AttentionRun(devices, 4, 2, 128, false, true);
    for (int[] rows : List.of(new int[] {3000}, new int[] {1}, new int[] {1}, new int[] {700})) {
      devices.assertClose(run.describe(rows), run.step(rows));
    }
  }
}
