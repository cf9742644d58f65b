package io.flotilla.kernels.cuda;

import static io.flotilla.kernels.TensorType.BF16;
import static io.flotilla.kernels.TensorType.F32;
import static io.flotilla.kernels.TensorType.I32;

import io.flotilla.kernels.AttentionBatch;
import io.flotilla.kernels.AttentionShape;
import io.flotilla.kernels.Buffer;
import io.flotilla.kernels.ExpertLayer;
import io.flotilla.kernels.KvCache;
import io.flotilla.kernels.MatrixSource;
import io.flotilla.kernels.Ops;
import io.flotilla.kernels.RopeTable;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Random;
import java.util.function.Consumer;
import java.util.function.IntConsumer;
import java.util.stream.IntStream;

/**
 * Times the kernels at the sizes of Qwen3-8B, and mixtures at those of Qwen3-30B-A3B: the median of
 * recorded runs, each of which cycles through enough weights to leave the cache.
 */
final class KernelTimes {
  private static final String CEILINGS = "ceilings";
  private static final String LINEAR = "linear";
  private static final String ELEMENTWISE = "elementwise";
  private static final String DECODE = "decode";
  private static final String PREFILL = "prefill";
  private static final String EXPERTS = "experts";
  static final List<String> SECTIONS =
      List.of(CEILINGS, LINEAR, ELEMENTWISE, DECODE, PREFILL, EXPERTS);

  private static final int ROUNDS = 9;
  private static final int BLOCK = 16;
  private static final long COPIED_BYTES = 1L << 30;

  private final CudaDevice device;
  private final Stream stream;
  private final Ops ops;
  private final Consumer<String> table;
  private int keys;

  private KernelTimes(CudaDevice device, Consumer<String> table) {
    this.device = device;
    this.stream = device.openStream();
    this.ops = device.ops();
    this.table = table;
  }

  /**
   * Times the kernels of a device that does nothing else.
   *
   * @param sections of {@link #SECTIONS}; empty for all
   * @param table takes each line of the table
   * @throws IllegalArgumentException when there is no such section
   */
  static void run(CudaDevice device, List<String> sections, Consumer<String> table) {
    for (String section : sections) {
      if (!SECTIONS.contains(section)) {
        throw new IllegalArgumentException(
            "there are no kernels '%s': they are %s".formatted(section, SECTIONS));
      }
    }
    table.accept(device.name());
    KernelTimes times = new KernelTimes(device, table);
    for (String section : sections.isEmpty() ? SECTIONS : sections) {
      switch (section) {
        case CEILINGS -> times.ceilings();
        case LINEAR -> times.linears();
        case ELEMENTWISE -> times.elementwise();
        case DECODE -> times.decode();
        case PREFILL -> times.prefill();
        default -> {
          times.besidesExperts();
          times.experts();
        }
      }
    }
  }

  /** What the card can do: a copy, both ways counted, and a large product. */
  private void ceilings() {
    int size = 8192;
    Tensor x = matrix(size, size);
    List<Tensor> weight = List.of(matrix(size, size));
    Tensor out = Tensor.allocate(device, BF16, size, size);
    double product = time(2, _ -> ops.linear(stream, x, weight, null, out));
    Buffer from = device.allocate(COPIED_BYTES);
    Buffer to = device.allocate(COPIED_BYTES);
    double copy =
        time(
            2,
            _ ->
                device
                    .driver()
                    .copyBetweenDevices(
                        CudaBuffer.address(to),
                        CudaBuffer.address(from),
                        COPIED_BYTES,
                        CudaStream.handle(stream)));
    table.accept(
        String.format(
            Locale.ROOT,
            "ceilings: copy %.2f TB/s, product of %d x %d matrices %.0f TFLOP/s",
            2 * COPIED_BYTES / copy / 1e12,
            size,
            size,
            2.0 * size * size * size / product / 1e12));
  }

  private void linears() {
    int[][] shapes = {{4096, 6144}, {4096, 4096}, {4096, 24576}, {12288, 4096}};
    for (int rows :
        new int[] {1, 2, 4, 8, 16, 24, 32, 64, 128, 192, 256, 320, 384, 448, 512, 2048, 8192}) {
      StringBuilder line = new StringBuilder("linear rows %5d:".formatted(rows));
      for (int[] shape : shapes) {
        int copies = Math.max(2, (int) Math.ceilDiv(200L << 20, 2L * shape[0] * shape[1]));
        List<Tensor> weights = new ArrayList<>();
        for (int i = 0; i < copies; i++) {
          weights.add(matrix(shape[1], shape[0]));
        }
        Tensor x = matrix(rows, shape[0]);
        Tensor out = Tensor.allocate(device, BF16, rows, shape[1]);
        double seconds =
            time(copies, i -> ops.linear(stream, x, List.of(weights.get(i)), null, out));
        double bytes = 2.0 * shape[0] * shape[1];
        double flops = 2.0 * rows * shape[0] * shape[1];
        line.append(
            String.format(
                Locale.ROOT,
                "  %d->%d %.1f us %.2f TB/s %.0f TF/s",
                shape[0],
                shape[1],
                seconds * 1e6,
                bytes / seconds / 1e12,
                flops / seconds / 1e12));
      }
      table.accept(line.toString());
    }
  }

  /** What else a layer of Qwen3-30B-A3B does for one sequence. */
  private void besidesExperts() {
    for (int[] size : new int[][] {{2048, 5120}, {4096, 2048}, {2048, 128}}) {
      int copies = Math.max(2, (200 << 20) / (2 * size[0] * size[1]));
      List<Tensor> weights = new ArrayList<>();
      for (int i = 0; i < Math.min(copies, 40); i++) {
        weights.add(matrix(size[1], size[0]));
      }
      Tensor x = matrix(1, size[0]);
      Tensor out = Tensor.allocate(device, size[1] == 128 ? F32 : BF16, 1, size[1]);
      double seconds =
          time(weights.size(), i -> ops.linear(stream, x, List.of(weights.get(i)), null, out));
      String what = "linear %d -> %d:".formatted(size[0], size[1]);
      table.accept(what + figure("", seconds, 2.0 * size[0] * size[1], 0));
    }
    AttentionShape shape = new AttentionShape(32, 4, 128);
    KvCache cache = device.allocateKvCache(shape, 64, BLOCK);
    AttentionBatch batch = batch(fill(1, 1), fill(1, 767));
    Tensor queries = matrix(1, shape.queryColumns());
    Tensor out = Tensor.allocate(device, BF16, 1, shape.queryColumns());
    double seconds = time(20, _ -> ops.attention(stream, queries, cache, batch, 0.088f, out));
    table.accept(
        String.format(Locale.ROOT, "decode attention on 4 heads 1 x 768: %.1f us", seconds * 1e6));
  }

  /** Mixtures in every tile that is worth a try; bytes are those of the experts chosen. */
  private void experts() {
    int hidden = 2048;
    int intermediate = 768;
    int experts = 128;
    int perToken = 8;
    List<ExpertLayer> layers = new ArrayList<>();
    for (int i = 0; i < 3; i++) {
      layers.add(layer(experts, hidden, intermediate, perToken));
    }
    CudaExperts kernels = new CudaExperts(device.launcher(), true);
    long handle = CudaStream.handle(stream);
    for (int rows : new int[] {1, 2, 4, 8, 16, 32, 64, 128, 180, 256, 512, 600, 1024, 2048, 8192}) {
      Tensor x = matrix(rows, hidden);
      Tensor out = Tensor.allocate(device, BF16, rows, hidden);
      Buffer memory =
          device.allocate(device.mixtureBytes(rows, hidden, intermediate, experts, perToken));
      List<Tensor> routers = new ArrayList<>();
      double read = 0;
      for (int i = 0; i < layers.size() * 4; i++) {
        boolean[] chosen = new boolean[experts];
        routers.add(router(rows, experts, perToken, chosen));
        for (boolean one : chosen) {
          read += one ? 3.0 * 2 * hidden * intermediate : 0;
        }
      }
      read /= routers.size();
      double flops = 3.0 * 2 * rows * perToken * hidden * intermediate;
      StringBuilder line = new StringBuilder("mixture rows %5d:".formatted(rows));
      double seconds =
          time(
              routers.size(),
              i ->
                  ops.mixExperts(
                      stream, x, routers.get(i), layers.get(i % layers.size()), memory, out));
      line.append(figure("chosen", seconds, read, flops));
      for (CudaExperts.Tile tile : CudaExperts.Tile.values()) {
        if (tile.isWorthwhile(rows * perToken / experts)) {
          seconds =
              time(
                  routers.size(),
                  i ->
                      kernels.mix(
                          handle,
                          x,
                          routers.get(i),
                          layers.get(i % layers.size()),
                          memory,
                          out,
                          tile));
          line.append(figure(tile.name(), seconds, read, flops));
        }
      }
      table.accept(line.toString());
    }
  }

  private static String figure(String what, double seconds, double bytes, double flops) {
    return String.format(
        Locale.ROOT,
        "  %s %.1f us %.2f TB/s %.0f TF/s",
        what,
        seconds * 1e6,
        bytes / seconds / 1e12,
        flops / seconds / 1e12);
  }

  private ExpertLayer layer(int experts, int hidden, int intermediate, int perToken) {
    Tensor gateUps = matrix(2 * experts * intermediate, hidden);
    Tensor downs = matrix(experts * hidden, intermediate);
    List<List<Tensor>> gates = new ArrayList<>();
    List<Tensor> outer = new ArrayList<>();
    for (int expert = 0; expert < experts; expert++) {
      gates.add(
          List.of(
              gateUps.sliceRows(2 * expert * intermediate, intermediate),
              gateUps.sliceRows((2 * expert + 1) * intermediate, intermediate)));
      outer.add(downs.sliceRows(expert * hidden, hidden));
    }
    return new ExpertLayer(gates, outer, 0, perToken, true);
  }

  /** Random logits. */
  private Tensor router(int rows, int experts, int perToken, boolean[] chosen) {
    Random random = new Random(keys++);
    Tensor tensor = Tensor.allocate(device, F32, rows, experts);
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment host = arena.allocate(ValueLayout.JAVA_FLOAT, (long) rows * experts);
      for (int row = 0; row < rows; row++) {
        float[] logits = new float[experts];
        for (int i = 0; i < experts; i++) {
          logits[i] = (float) random.nextGaussian();
          host.setAtIndex(ValueLayout.JAVA_FLOAT, (long) row * experts + i, logits[i]);
        }
        IntStream.range(0, experts)
            .boxed()
            .sorted((a, b) -> Float.compare(logits[b], logits[a]))
            .limit(perToken)
            .forEach(i -> chosen[i] = true);
      }
      stream.upload(host, tensor.buffer());
      stream.synchronize();
    }
    return tensor;
  }

  private void elementwise() {
    for (int rows : new int[] {1, 64, 256, 8192}) {
      Tensor residual = Tensor.allocate(device, F32, rows, 4096);
      Tensor delta = matrix(rows, 4096);
      Tensor weight = Tensor.allocate(device, F32, 1, 4096);
      Tensor out = Tensor.allocate(device, BF16, rows, 4096);
      double norm = time(20, _ -> ops.addRmsNorm(stream, residual, delta, weight, 1e-6f, out));
      Tensor gateUp = matrix(rows, 24576);
      Tensor mixed = Tensor.allocate(device, BF16, rows, 12288);
      double silu = time(20, _ -> ops.siluMultiply(stream, gateUp, mixed));
      AttentionShape shape = new AttentionShape(32, 8, 128);
      Tensor qkv = matrix(rows, shape.qkvColumns());
      KvCache cache = device.allocateKvCache(shape, rows + 1, BLOCK);
      AttentionBatch batch = batch(fill(rows, 1), fill(rows, 8));
      RopeTable rope = new RopeTable(Tensor.allocate(device, F32, 64, 128), false);
      Tensor head = Tensor.allocate(device, F32, 1, 128);
      double rotate =
          time(20, _ -> ops.rotateAndStore(stream, qkv, head, head, 1e-6f, rope, batch, cache));
      table.accept(
          String.format(
              Locale.ROOT,
              "rows %5d: addRmsNorm %.1f us, siluMultiply %.1f us, rotateAndStore %.1f us",
              rows,
              norm * 1e6,
              silu * 1e6,
              rotate * 1e6));
    }
  }

  private void decode() {
    AttentionShape shape = new AttentionShape(32, 8, 128);
    int[][] cases = {
      {1, 512}, {1, 8192}, {1, 32768}, {64, 640}, {180, 320}, {256, 640}, {600, 320}
    };
    for (int[] size : cases) {
      int blocks = size[0] * Math.ceilDiv(size[1], BLOCK);
      int copies = blocks > 20000 ? 2 : Math.max(2, 30000 / blocks);
      List<KvCache> caches = new ArrayList<>();
      for (int i = 0; i < Math.min(copies, 12); i++) {
        caches.add(device.allocateKvCache(shape, blocks, BLOCK));
      }
      AttentionBatch batch = batch(fill(size[0], 1), fill(size[0], size[1] - 1));
      Tensor queries = matrix(size[0], shape.queryColumns());
      Tensor out = Tensor.allocate(device, BF16, size[0], shape.queryColumns());
      double seconds =
          time(
              caches.size(),
              i -> ops.attention(stream, queries, caches.get(i), batch, 0.088f, out));
      double bytes = 2.0 * 2 * 8 * 128 * size[0] * (double) size[1];
      table.accept(
          String.format(
              Locale.ROOT,
              "decode attention %d x %d: %.1f us, %.2f TB/s",
              size[0],
              size[1],
              seconds * 1e6,
              bytes / seconds / 1e12));
    }
  }

  private void prefill() {
    AttentionShape shape = new AttentionShape(32, 8, 128);
    for (int[] size : new int[][] {{1, 2048}, {1, 8192}, {1, 32768}, {11, 185}, {4, 512}}) {
      int rows = size[0] * size[1];
      KvCache cache = device.allocateKvCache(shape, rows / BLOCK + size[0], BLOCK);
      AttentionBatch batch = batch(fill(size[0], size[1]), fill(size[0], 0));
      Tensor queries = matrix(rows, shape.queryColumns());
      Tensor out = Tensor.allocate(device, BF16, rows, shape.queryColumns());
      double seconds = time(2, _ -> ops.attention(stream, queries, cache, batch, 0.088f, out));
      double flops = 4.0 * 32 * 128 * size[0] * ((double) size[1] * size[1] / 2);
      table.accept(
          String.format(
              Locale.ROOT,
              "prefill attention %d x %d: %.1f us, %.0f TFLOP/s",
              size[0],
              size[1],
              seconds * 1e6,
              flops / seconds / 1e12));
    }
  }

  private static int[] fill(int count, int value) {
    int[] values = new int[count];
    Arrays.fill(values, value);
    return values;
  }

  /** Sequences that compute some rows after others, each with blocks of its own. */
  private AttentionBatch batch(int[] counts, int[] computed) {
    int rows = Arrays.stream(counts).sum();
    int[] sequences = new int[rows];
    int[] positions = new int[rows];
    int[] firstRows = new int[counts.length + 1];
    int columns = 0;
    int row = 0;
    for (int sequence = 0; sequence < counts.length; sequence++) {
      firstRows[sequence] = row;
      columns = Math.max(columns, Math.ceilDiv(counts[sequence] + computed[sequence], BLOCK));
      for (int i = 0; i < counts[sequence]; i++) {
        sequences[row] = sequence;
        positions[row++] = computed[sequence] + i;
      }
    }
    firstRows[counts.length] = rows;
    int[] tables = IntStream.range(0, counts.length * columns).toArray();
    return new AttentionBatch(
        rows,
        counts.length,
        integers(1, sequences),
        integers(1, positions),
        integers(1, firstRows),
        integers(counts.length, tables));
  }

  private Tensor integers(int rows, int[] values) {
    Tensor tensor = Tensor.allocate(device, I32, rows, values.length / rows);
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment host = arena.allocateFrom(ValueLayout.JAVA_INT, values);
      stream.upload(host, tensor.buffer());
      stream.synchronize();
    }
    return tensor;
  }

  private Tensor matrix(int rows, int columns) {
    float[] values = new float[256];
    for (int i = 0; i < values.length; i++) {
      values[i] = (i - 127.5f) / 4096;
    }
    return device
        .load(List.of(new MatrixSource.Random(keys++, values, 0, rows, columns, columns)))
        .getFirst();
  }

  /** Seconds of one of {@code count} recorded operations. */
  private double time(int count, IntConsumer operation) {
    Object key = new Object();
    int repeats = Math.max(1, 40 / count);
    Runnable work =
        () -> {
          for (int repeat = 0; repeat < repeats; repeat++) {
            for (int i = 0; i < count; i++) {
              operation.accept(i);
            }
          }
        };
    for (int run = 0; run <= CudaStream.RUNS_BEFORE_RECORDING; run++) {
      stream.repeat(key, work);
    }
    stream.synchronize();
    double[] seconds = new double[ROUNDS];
    for (int round = 0; round < ROUNDS; round++) {
      long start = System.nanoTime();
      stream.repeat(key, work);
      stream.synchronize();
      seconds[round] = (System.nanoTime() - start) / 1e9 / count / repeats;
    }
    Arrays.sort(seconds);
    return seconds[ROUNDS / 2];
  }
}
