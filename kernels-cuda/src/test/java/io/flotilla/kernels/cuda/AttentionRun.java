package io.flotilla.kernels.cuda;

import static io.flotilla.kernels.TensorType.BF16;
import static io.flotilla.kernels.TensorType.F32;

import io.flotilla.kernels.AttentionBatch;
import io.flotilla.kernels.AttentionShape;
import io.flotilla.kernels.KvCache;
import io.flotilla.kernels.Ops;
import io.flotilla.kernels.RopeTable;
import io.flotilla.kernels.Tensor;
import io.flotilla.kernels.cuda.DevicePair.Pair;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * Steps of some sequences on two devices, each with its own cache, pages in a scattered order. On
 * the GPU the tokens may be spread over the caches of several ranks, which have the queries of some
 * heads each; then there is one key-value head.
 */
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
  private final List<KvCache> gpuCaches;
  private final KvCache cpuCache;
  private final int[] lengths = new int[SEQUENCES];

  AttentionRun(
      DevicePair devices, int heads, int kvHeads, int headDim, boolean interleaved, boolean norms) {
    this(devices, heads, kvHeads, headDim, interleaved, norms, 1);
  }

  private AttentionRun(
      DevicePair devices,
      int heads,
      int kvHeads,
      int headDim,
      boolean interleaved,
      boolean norms,
      int parts) {
    this.devices = devices;
    this.shape = new AttentionShape(heads, kvHeads, headDim);
    this.interleaved = interleaved;
    this.angles = rotations(headDim);
    this.queryNorm = norms ? devices.random(1, headDim, F32) : null;
    this.keyNorm = norms ? devices.random(1, headDim, F32) : null;
    AttentionShape ofPart = new AttentionShape(heads / parts, kvHeads, headDim);
    this.gpuCaches =
        IntStream.range(0, parts)
            .mapToObj(
                part ->
                    devices
                        .gpu
                        .allocateKvCache(ofPart, SEQUENCES * COLUMNS, BLOCK)
                        .share(part, parts))
            .toList();
    this.cpuCache = devices.cpu.allocateKvCache(shape, SEQUENCES * COLUMNS, BLOCK);
  }

  /** Whose tokens some ranks hold between them. */
  static AttentionRun spread(DevicePair devices, int heads, int headDim, int parts) {
    return new AttentionRun(devices, heads, 1, headDim, false, true, parts);
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
    Pair out = devices.poisoned(rows, shape.queryColumns(), BF16);
    if (gpuCaches.size() == 1) {
      rotate(qkv.gpu(), onGpu, gpuCaches.getFirst());
      Tensor queries = qkv.gpu().sliceColumns(0, shape.queryColumns());
      ops().attention(devices.gpuStream, queries, gpuCaches.getFirst(), onGpu, scale, out.gpu());
    } else {
      attendInParts(qkv.gpu(), onGpu, scale, out.gpu());
    }
    Tensor queries = qkv.cpu().sliceColumns(0, shape.queryColumns());
    devices.cpu.ops().attention(devices.cpuStream, queries, cpuCache, onCpu, scale, out.cpu());
    return out;
  }

  private Ops ops() {
    return devices.gpu.ops();
  }

  private void rotate(Tensor qkv, AttentionBatch batch, KvCache cache) {
    RopeTable rope = new RopeTable(angles.gpu(), interleaved);
    ops()
        .rotateAndStore(
            devices.gpuStream,
            qkv,
            queryNorm == null ? null : queryNorm.gpu(),
            keyNorm == null ? null : keyNorm.gpu(),
            1e-6f,
            rope,
            batch,
            cache);
  }

  /** What the ranks do one after another, with copies in place of what they exchange. */
  private void attendInParts(Tensor qkv, AttentionBatch batch, float scale, Tensor out) {
    int parts = gpuCaches.size();
    int rows = batch.rows();
    AttentionShape ofPart = gpuCaches.getFirst().shape();
    int columns = ofPart.queryColumns();
    int keysValues = ofPart.keyValueColumns();
    int partColumns = columns + 2 * ofPart.heads();
    Tensor queries = Tensor.allocate(devices.gpu, BF16, parts * rows, columns);
    for (int part = 0; part < parts; part++) {
      Tensor mine = Tensor.allocate(devices.gpu, BF16, rows, columns + keysValues);
      copy(qkv.sliceColumns(part * columns, columns), mine.sliceColumns(0, columns));
      copy(qkv.sliceColumns(parts * columns, keysValues), mine.sliceColumns(columns, keysValues));
      rotate(mine, batch, gpuCaches.get(part));
      copy(mine.sliceColumns(0, columns), queries.sliceRows(part * rows, rows));
    }
    List<Tensor> received = new ArrayList<>();
    for (int part = 0; part < parts; part++) {
      received.add(devices.poisoned(parts * rows, partColumns, F32).gpu());
    }
    for (int from = 0; from < parts; from++) {
      Tensor computed = devices.poisoned(parts * rows, partColumns, F32).gpu();
      ops().attentionPart(devices.gpuStream, queries, gpuCaches.get(from), batch, scale, computed);
      for (int part = 0; part < parts; part++) {
        copy(
            computed.sliceRows(part * rows, rows), received.get(part).sliceRows(from * rows, rows));
      }
    }
    for (int part = 0; part < parts; part++) {
      ops()
          .mergeAttention(
              devices.gpuStream,
              received.get(part),
              ofPart,
              out.sliceColumns(part * columns, columns));
    }
  }

  private void copy(Tensor from, Tensor to) {
    ops().copyRows(devices.gpuStream, from, to);
  }
}
