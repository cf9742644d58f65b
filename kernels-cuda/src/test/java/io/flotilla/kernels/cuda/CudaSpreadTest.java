package io.flotilla.kernels.cuda;

import static io.flotilla.kernels.TensorType.BF16;
import static io.flotilla.kernels.TensorType.F32;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;
import static org.assertj.core.api.Assertions.assertThat;

import io.flotilla.kernels.AttentionBatch;
import io.flotilla.kernels.AttentionShape;
import io.flotilla.kernels.Buffer;
import io.flotilla.kernels.KvCache;
import io.flotilla.kernels.Tensor;
import io.flotilla.kernels.cpu.CpuBuffer;
import io.flotilla.kernels.cuda.DevicePair.Pair;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The operations of ranks that have different rows or tokens, against the scalar ones. */
@Tag("emulated")
class CudaSpreadTest extends TestOnTwoDevices {
  /** The first tokens are held by one rank alone; there are more heads than a tile has. */
  @ParameterizedTest
  @CsvSource({"8, 64, 2", "4, 128, 4", "40, 128, 2"})
  void attendsToTokensOfSeveralRanks(int heads, int headDim, int parts) {
    AttentionRun run = AttentionRun.spread(devices, heads, headDim, parts);
    List<int[]> steps =
        List.of(
            new int[] {1, 1, 70, 2},
            new int[] {1, 200, 1, 33},
            new int[] {1, 1, 1, 1},
            new int[] {600, 1, 17, 2},
            new int[] {1, 1, 1, 1});
    for (int[] rows : steps) {
      devices.assertClose(parts + " parts, " + run.describe(rows), run.step(rows));
    }
  }

  /** As rotating stores them, but for the rows that are left out. */
  @ParameterizedTest
  @ValueSource(ints = {1, 3})
  void storesRowsThatCameFromOthers(int parts) {
    AttentionShape shape = new AttentionShape(2, 2, 64);
    int[] positions = {40, -1, 41, 5, 6, 7};
    Pair at = devices.integers(1, positions);
    Pair sequences = devices.integers(1, 0, 0, 0, 1, 1, 1);
    Pair tables = devices.integers(2, 3, 0, 5, 1, 4, 2);
    Pair none = devices.integers(1, 0);
    AttentionBatch batch =
        new AttentionBatch(6, 0, sequences.gpu(), at.gpu(), none.gpu(), tables.gpu());
    Pair rows = devices.random(6, shape.keyValueColumns(), BF16);
    KvCache cache = devices.gpu.allocateKvCache(shape, 6, 16).share(parts - 1, parts);
    devices.gpu.ops().store(devices.gpuStream, rows.gpu(), batch, cache);
    short[] keys = shorts(cache.keys());
    short[] values = shorts(cache.values());
    short[] given = shorts(rows.gpu().buffer());
    for (int row = 0; row < positions.length; row++) {
      for (int head = 0; head < 2 && isHeld(cache, positions[row]); head++) {
        int token = positions[row] / parts;
        int block = new int[] {3, 0, 5, 1, 4, 2}[(row < 3 ? 0 : 3) + token / 16];
        int place = ((block * 2 + head) * 16 + token % 16) * 64;
        int from = row * shape.keyValueColumns() + head * 64;
        assertTaken(keys, place, given, from);
        assertTaken(values, place, given, from + 128);
      }
    }
    assertThat(keys).containsOnly((short) 0);
    assertThat(values).containsOnly((short) 0);
  }

  private static boolean isHeld(KvCache cache, int position) {
    return position >= 0 && cache.holds(position);
  }

  private static void assertTaken(short[] cache, int place, short[] given, int from) {
    assertThat(Arrays.copyOfRange(cache, place, place + 64))
        .isEqualTo(Arrays.copyOfRange(given, from, from + 64));
    Arrays.fill(cache, place, place + 64, (short) 0);
  }

  @ParameterizedTest
  @CsvSource({"1, 8, 2, 2", "3000, 16, 4, 4", "77, 128, 8, 8", "40, 160, 5, 3"})
  void choosesTheRowsOfRanksAndSumsWhatTheySendBack(
      int rows, int experts, int perToken, int ranks) {
    Pair router = devices.random(rows, experts, F32);
    int perRank = experts / 2 / ranks;
    Pair chosen = devices.integers(1, new int[(ranks + 1) * rows]);
    Pair counts = devices.integers(1, new int[ranks]);
    devices
        .gpu
        .ops()
        .chooseRows(
            devices.gpuStream, router.gpu(), 2, perRank, perToken, chosen.gpu(), counts.gpu());
    devices
        .cpu
        .ops()
        .chooseRows(
            devices.cpuStream, router.cpu(), 2, perRank, perToken, chosen.cpu(), counts.cpu());
    int[] expected = integers(counts.cpu());
    assertThat(integers(counts.gpu())).isEqualTo(expected);
    int all = Arrays.stream(expected).sum();
    assertThat(Arrays.copyOf(integers(chosen.gpu()), all))
        .isEqualTo(Arrays.copyOf(integers(chosen.cpu()), all));

    Pair listed = chosen.sliceColumns(0, all);
    Pair x = devices.random(all, 264, BF16);
    Pair out = devices.poisoned(rows, 264, BF16);
    devices.gpu.ops().sumRows(devices.gpuStream, x.gpu(), listed.gpu(), out.gpu());
    devices.cpu.ops().sumRows(devices.cpuStream, x.cpu(), listed.cpu(), out.cpu());
    devices.assertClose("sums of %d in %d rows".formatted(all, rows), out);
  }

  private short[] shorts(Buffer buffer) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment host = arena.allocate(buffer.bytes(), 16);
      devices.gpuStream.download(buffer, host);
      devices.gpuStream.synchronize();
      return host.toArray(JAVA_SHORT);
    }
  }

  private int[] integers(Tensor tensor) {
    if (tensor.buffer() instanceof CpuBuffer onCpu) {
      return onCpu.segment().toArray(JAVA_INT);
    }
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment host = arena.allocate(tensor.buffer().bytes(), 16);
      devices.gpuStream.download(tensor.buffer(), host);
      devices.gpuStream.synchronize();
      return host.toArray(JAVA_INT);
    }
  }
}
