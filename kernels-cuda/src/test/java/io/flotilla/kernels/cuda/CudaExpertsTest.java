package io.flotilla.kernels.cuda;

import static io.flotilla.kernels.TensorType.BF16;
import static io.flotilla.kernels.TensorType.F32;

import io.flotilla.kernels.Buffer;
import io.flotilla.kernels.Device;
import io.flotilla.kernels.ExpertLayer;
import io.flotilla.kernels.Tensor;
import io.flotilla.kernels.cuda.DevicePair.Pair;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Mixtures of experts on a GPU against the scalar ones, over the same inputs. */
@Tag("emulated")
class CudaExpertsTest extends TestOnTwoDevices {
  /** Experts of one layer on both devices. */
  private record Layers(ExpertLayer gpu, ExpertLayer cpu) {}

  /** The experts from {@code first}, so many that there are {@code local}. */
  private Layers layers(
      int first, int local, int perToken, boolean normalised, int hidden, int intermediate) {
    Pair gateUps = devices.random(2 * local * intermediate, hidden, BF16);
    Pair downs = devices.random(local * hidden, intermediate, BF16);
    return new Layers(
        layer(gateUps.gpu(), downs.gpu(), first, local, perToken, normalised),
        layer(gateUps.cpu(), downs.cpu(), first, local, perToken, normalised));
  }

  private static ExpertLayer layer(
      Tensor gateUps, Tensor downs, int first, int local, int perToken, boolean normalised) {
    int intermediate = gateUps.rows() / local / 2;
    int hidden = downs.rows() / local;
    List<List<Tensor>> gates = new ArrayList<>();
    List<Tensor> outer = new ArrayList<>();
    for (int expert = 0; expert < local; expert++) {
      gates.add(
          List.of(
              gateUps.sliceRows(2 * expert * intermediate, intermediate),
              gateUps.sliceRows((2 * expert + 1) * intermediate, intermediate)));
      outer.add(downs.sliceRows(expert * hidden, hidden));
    }
    return new ExpertLayer(gates, outer, first, perToken, normalised);
  }

  @ParameterizedTest
  @CsvSource({
    "1, 128, 8, true, 256, 96",
    "1, 8, 2, true, 384, 200",
    "2, 300, 5, false, 64, 8",
    "3, 64, 6, false, 512, 776",
    "4, 16, 1, true, 1032, 64",
    "5, 8, 2, true, 384, 200",
    "33, 128, 8, true, 256, 96",
    "100, 16, 4, false, 264, 136",
    "150, 8, 2, true, 128, 328",
    "400, 8, 3, true, 136, 72"
  })
  void mixes(
      int rows, int experts, int perToken, boolean normalised, int hidden, int intermediate) {
    Layers layers = layers(0, experts, perToken, normalised, hidden, intermediate);
    Pair x = small(rows, hidden);
    Pair router = devices.random(rows, experts, F32);
    Pair out = devices.poisoned(rows, hidden, BF16);
    Buffer memory = memory(devices.gpu, rows, hidden, intermediate, experts, perToken);
    devices
        .gpu
        .ops()
        .mixExperts(devices.gpuStream, x.gpu(), router.gpu(), layers.gpu, memory, out.gpu());
    expected(x, router, layers, out);
    devices.assertClose("mixExperts " + rows + " of " + experts, out);
  }

  /** Each kind of tile, on counts of rows that fill some tiles and leave others short. */
  @ParameterizedTest
  @CsvSource({"7", "64", "130", "301"})
  void mixesInEveryTile(int rows) {
    int experts = 8;
    Layers layers = layers(0, experts, 2, true, 328, 136);
    Pair x = small(rows, 328);
    Pair router = devices.random(rows, experts, F32);
    Buffer memory = memory(devices.gpu, rows, 328, 136, experts, 2);
    CudaExperts kernels = new CudaExperts(((CudaDevice) devices.gpu).launcher(), true);
    for (CudaExperts.Tile tile : tiles()) {
      Pair out = devices.poisoned(rows, 328, BF16);
      long stream = CudaStream.handle(devices.gpuStream);
      kernels.mix(stream, x.gpu(), router.gpu(), layers.gpu, memory, out.gpu(), tile);
      expected(x, router, layers, out);
      devices.assertClose("mixExperts " + rows + " rows, " + tile, out);
    }
  }

  private static List<CudaExperts.Tile> tiles() {
    int major = CudaSetup.find().driver().attribute(0, Driver.COMPUTE_CAPABILITY_MAJOR);
    return Arrays.stream(CudaExperts.Tile.values())
        .filter(tile -> major == 9 || !tile.name().startsWith("HOPPER"))
        .toList();
  }

  /** Rows none of whose experts are here are zeros. */
  @ParameterizedTest
  @CsvSource({"1", "3", "40", "600"})
  void mixesTheExpertsOfOneRank(int rows) {
    Layers layers = layers(6, 5, 3, true, 256, 64);
    Pair x = small(rows, 256);
    Pair router = devices.random(rows, 16, F32);
    Buffer memory = memory(devices.gpu, rows, 256, 64, 16, 3);
    Pair out = devices.poisoned(rows, 256, BF16);
    devices
        .gpu
        .ops()
        .mixExperts(devices.gpuStream, x.gpu(), router.gpu(), layers.gpu, memory, out.gpu());
    expected(x, router, layers, out);
    devices.assertClose("mixExperts " + rows + " rows, 5 of 16 experts", out);
  }

  @ParameterizedTest
  @CsvSource({"1", "2", "20"})
  void takesTheFirstOfEqualExperts(int rows) {
    Layers layers = layers(0, 16, 4, false, 128, 64);
    Pair x = small(rows, 128);
    float[] logits = new float[rows * 16];
    Arrays.fill(logits, 0.5f);
    for (int row = 0; row < rows; row++) {
      logits[row * 16 + 9] = 2;
    }
    Pair router = devices.of(logits, rows, 16, F32);
    Buffer memory = memory(devices.gpu, rows, 128, 64, 16, 4);
    Pair out = devices.poisoned(rows, 128, BF16);
    devices
        .gpu
        .ops()
        .mixExperts(devices.gpuStream, x.gpu(), router.gpu(), layers.gpu, memory, out.gpu());
    expected(x, router, layers, out);
    devices.assertClose("mixExperts " + rows + " rows of equal experts", out);
  }

  @Test
  void looksUpAPartOfATable() {
    Pair table = devices.random(50, 384, BF16);
    Pair ids = devices.integers(1, 3, 149, 100, 99, 117, 150);
    Pair out = devices.poisoned(6, 384, F32);
    devices.gpu.ops().embedPart(devices.gpuStream, table.gpu(), 100, ids.gpu(), out.gpu());
    devices.cpu.ops().embedPart(devices.cpuStream, table.cpu(), 100, ids.cpu(), out.cpu());
    devices.assertClose("embedPart", out);
  }

  /** Activations whose gates are neither linear nor closed. */
  private Pair small(int rows, int columns) {
    float[] values = new float[rows * columns];
    java.util.Random random = new java.util.Random(rows * 31L + columns);
    for (int i = 0; i < values.length; i++) {
      values[i] = DevicePair.narrow((float) (random.nextGaussian() / Math.sqrt(columns)));
    }
    return devices.of(values, rows, columns, BF16);
  }

  private void expected(Pair x, Pair router, Layers layers, Pair out) {
    int hidden = x.cpu().columns();
    Buffer memory =
        memory(
            devices.cpu,
            x.cpu().rows(),
            hidden,
            layers.cpu.intermediateSize(),
            router.cpu().columns(),
            layers.cpu.perToken());
    devices
        .cpu
        .ops()
        .mixExperts(devices.cpuStream, x.cpu(), router.cpu(), layers.cpu, memory, out.cpu());
  }

  private static Buffer memory(
      Device device, int rows, int hidden, int intermediate, int experts, int perToken) {
    return device.allocate(device.mixtureBytes(rows, hidden, intermediate, experts, perToken));
  }
}
