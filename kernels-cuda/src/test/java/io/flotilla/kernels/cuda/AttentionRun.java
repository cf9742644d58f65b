package io.flotilla.kernels.cuda;

import static io.flotilla.kernels.TensorType.BF16;
import static io.flotilla.kernels.TensorType.F32;

import io.flotilla.kernels.AttentionBatch;
import io.flotilla.kernels.AttentionShape;
import io.flotilla.kernels.KvCache;
import io.flotilla.kernels.RopeTable;
import io.flotilla.kernels.cuda.DevicePair.Pair;
import java.util.Arrays;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/** Steps of some sequences on two devices, each with its own cache, pages in a scattered order. */
final class AttentionRun {
  private static final int BLOCK = 16;
  private static final int COLUMNS = 256;
  private static final int POSITIONS = BLOCK * COLUMNS;
  private static final int SEQUENCES = 4;

  private final DevicePair devices;
  private final AttentionShape shape;
  private final boolean interleaved;
  private final Pair angles;
  private final @Nullable Pair queryNorm;
  private final @Nullable Pair keyNorm;
  private final KvCache gpuCache;
  private final KvCache cpuCache;
  private final int[] lengths = new int[SEQUENCES];

  AttentionRun(
      DevicePair devices, int heads, int kvHeads, int headDim, boolean interleaved, boolean norms) {
    this.devices = devices;
    this.shape = new AttentionShape(heads, kvHeads, headDim);
    this.interleaved = interleaved;
    this.angles = rotations(headDim);
    this.queryNorm = norms ? devices.random(1, headDim, F32) : null;
    this.keyNorm = norms ? devices.random(1, headDim, F32) : null;
    this.gpuCache = devices.gpu.allocateKvCache(shape, SEQUENCES * COLUMNS, BLOCK);
    this.cpuCache = devices.cpu.allocateKvCache(shape, SEQUENCES * COLUMNS, BLOCK);
  }

  private Pair rotations(int headDim) {
    float[] values = new float[POSITIONS * headDim];
    for (int position = 0; position < POSITIONS; position++) {
      for (int i = 0; i < headDim / 2; i++) {
        double angle = position * Math.pow(10000, -2.0 * i / headDim);
        values[position * headDim + i] = (float) Math.cos(angle);
        values[position * headDim + headDim / 2 + i] = (float) Math.sin(angle);
      }
    }
    return devices.of(values, POSITIONS, headDim, F32);
  }

  String describe(int[] rows) {
    return "attention "
        + shape
        + " "
        + Arrays.toString(rows)
        + " after "
        + Arrays.toString(lengths);
  }

  /** Computes that many more tokens of each sequence and returns the attention's output. */
  Pair step(int[] counts) {
    int rows = Arrays.stream(counts).sum();
    int[] sequences = new int[rows];
    int[] positions = new int[rows];
    int[] firstRows = new int[counts.length + 1];
    int row = 0;
    for (int sequence = 0; sequence < counts.length; sequence++) {
      firstRows[sequence] = row;
      for (int i = 0; i < counts[sequence]; i++) {
        sequences[row] = sequence;
        positions[row++] = lengths[sequence]++;
      }
    }
    firstRows[counts.length] = rows;
    // Neighbouring columns are not neighbours in the cache.
    int[] tables =
        IntStream.range(0, counts.length * COLUMNS)
            .map(entry -> entry * 389 % (SEQUENCES * COLUMNS))
            .toArray();
    Pair ofRows = devices.integers(1, sequences);
    Pair at = devices.integers(1, positions);
    Pair first = devices.integers(1, firstRows);
    Pair blocks = devices.integers(counts.length, tables);
    int prompts = (int) Arrays.stream(counts).filter(count -> count > 1).count();
    AttentionBatch onGpu =
        new AttentionBatch(
            rows, counts.length, prompts, ofRows.gpu(), at.gpu(), first.gpu(), blocks.gpu());
    AttentionBatch onCpu =
        new AttentionBatch(rows, counts.length, ofRows.cpu(), at.cpu(), first.cpu(), blocks.cpu());
    return run(rows, onGpu, onCpu);
  }

  private Pair run(int rows, AttentionBatch onGpu, AttentionBatch onCpu) {
    Pair qkv = devices.random(rows, shape.qkvColumns(), BF16);
    float scale = (float) (1 / Math.sqrt(shape.headDim()));
    devices
        .gpu
        .ops()
        .rotateAndStore(
            devices.gpuStream,
            qkv.gpu(),
            queryNorm == null ? null : queryNorm.gpu(),
            keyNorm == null ? null : keyNorm.gpu(),
            1e-6f,
            new RopeTable(angles.gpu(), interleaved),
            onGpu,
            gpuCache);
    devices
        .cpu
        .ops()
        .rotateAndStore(
            devices.cpuStream,
            qkv.cpu(),
            queryNorm == null ? null : queryNorm.cpu(),
            keyNorm == null ? null : keyNorm.cpu(),
            1e-6f,
            new RopeTable(angles.cpu(), interleaved),
            onCpu,
            cpuCache);
    Pair queries = qkv.sliceColumns(0, shape.queryColumns());
    Pair out = devices.poisoned(rows, shape.queryColumns(), BF16);
    devices
        .gpu
        .ops()
        .attention(devices.gpuStream, queries.gpu(), gpuCache, onGpu, scale, out.gpu());
    devices
        .cpu
        .ops()
        .attention(devices.cpuStream, queries.cpu(), cpuCache, onCpu, scale, out.cpu());
    return out;
  }
}
