package io.flotilla.kernels.cpu;

import static io.flotilla.kernels.cpu.NativeMemory.integer;
import static io.flotilla.kernels.cpu.NativeMemory.segment;

import io.flotilla.kernels.AttentionBatch;
import io.flotilla.kernels.AttentionShape;
import io.flotilla.kernels.Buffer;
import io.flotilla.kernels.ExpertLayer;
import io.flotilla.kernels.KvCache;
import io.flotilla.kernels.Ops;
import io.flotilla.kernels.RopeTable;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import io.flotilla.kernels.TensorType;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The operations as their definitions read: float arithmetic, every sum from its first element to
 * its last. It is the oracle for the fast operations, and what runs where there are none. A row (of
 * a matrix product, an output) is a tile, for the sake of {@link ThreadTeam#progress}.
 */
final class ScalarOps implements Ops {
  private final ThreadTeam team;
  private final AttentionMerge merge;
  private final ExpertMixture mixture;

  /** Operations on the caller's thread alone. */
  ScalarOps() {
    this(new ThreadTeam(1));
  }

  ScalarOps(ThreadTeam team) {
    this.team = team;
    this.merge = new AttentionMerge(team, ScalarOps::addScaled);
    this.mixture = new ExpertMixture(this, team, ScalarOps::addScaled);
  }

  @Override
  public void embed(Stream stream, Tensor table, Tensor ids, Tensor out) {
    team.run(
        out.rows(),
        (row, _) ->
            BlockFormat.widen(
                table.type(),
                segment(table),
                integer(ids, row) * table.rowBytes(),
                out.columns(),
                segment(out).asSlice(row * out.rowBytes())));
  }

  @Override
  public void embedPart(Stream stream, Tensor table, int firstId, Tensor ids, Tensor out) {
    team.run(
        out.rows(),
        (row, _) -> {
          int id = integer(ids, row) - firstId;
          MemorySegment to = segment(out).asSlice(row * out.rowBytes());
          if (id >= 0 && id < table.rows()) {
            BlockFormat.widen(
                table.type(), segment(table), id * table.rowBytes(), out.columns(), to);
          } else {
            to.asSlice(0, TensorType.F32.bytes(out.columns())).fill((byte) 0);
          }
        });
  }

  @Override
  public void rmsNorm(Stream stream, Tensor x, Tensor weight, float epsilon, Tensor out) {
    team.run(x.rows(), (row, _) -> normalise(vector(x, row), weight, epsilon, vector(out, row)));
  }

  @Override
  public void addRmsNorm(
      Stream stream, Tensor residual, Tensor delta, Tensor weight, float epsilon, Tensor out) {
    team.run(
        residual.rows(),
        (row, _) -> {
          Vector sum = vector(residual, row);
          Vector added = vector(delta, row);
          for (int i = 0; i < residual.columns(); i++) {
            sum.set(i, sum.get(i) + added.get(i));
          }
          normalise(sum, weight, epsilon, vector(out, row));
        });
  }

  @Override
  public void linear(
      Stream stream, Tensor x, List<Tensor> weights, @Nullable List<Tensor> biases, Tensor out) {
    int column = 0;
    for (int i = 0; i < weights.size(); i++) {
      Tensor weight = weights.get(i);
      Tensor bias = biases == null ? null : biases.get(i);
      Tensor columns = out.sliceColumns(column, weight.rows());
      team.run(weight.rows(), (output, _) -> project(x, weight, bias, output, columns));
      column += weight.rows();
    }
  }

  @Override
  public void rotateAndStore(
      Stream stream,
      Tensor qkv,
      @Nullable Tensor queryNorm,
      @Nullable Tensor keyNorm,
      float epsilon,
      RopeTable rope,
      AttentionBatch batch,
      KvCache cache) {
    AttentionShape shape = cache.shape();
    team.run(
        batch.rows(),
        (row, _) -> {
          Vector angles = vector(rope.angles(), integer(batch.positions(), row));
          for (int head = 0; head < shape.heads() + shape.kvHeads(); head++) {
            Vector values = head(qkv, row, head, shape);
            Tensor norm = head < shape.heads() ? queryNorm : keyNorm;
            if (norm != null) {
              normalise(values, norm, epsilon, values);
            }
            rotate(values, angles, rope.interleaved());
          }
          store(qkv, shape.heads(), row, batch, cache);
        });
  }

  @Override
  public void attention(
      Stream stream, Tensor queries, KvCache cache, AttentionBatch batch, float scale, Tensor out) {
    AttentionShape shape = cache.shape();
    team.run(
        batch.rows(),
        (row, _) -> {
          for (int head = 0; head < shape.heads(); head++) {
            Vector mixture = head(out, row, head, shape);
            Weights weights =
                attend(
                    new Head(cache, batch, row, head / (shape.heads() / shape.kvHeads())),
                    head(queries, row, head, shape),
                    scale,
                    mixture);
            for (int i = 0; i < mixture.length; i++) {
              mixture.set(i, mixture.get(i) / weights.sum);
            }
          }
        });
  }

  @Override
  public void attentionPart(
      Stream stream, Tensor queries, KvCache cache, AttentionBatch batch, float scale, Tensor out) {
    AttentionShape shape = cache.shape();
    team.run(
        out.rows(),
        (row, _) -> {
          Vector results = vector(out, row);
          for (int head = 0; head < shape.heads(); head++) {
            Weights weights =
                attend(
                    new Head(cache, batch, row % batch.rows(), 0),
                    head(queries, row, head, shape),
                    scale,
                    head(out, row, head, shape));
            results.set(shape.queryColumns() + head, weights.largest);
            results.set(shape.queryColumns() + shape.heads() + head, weights.sum);
          }
        });
  }

  @Override
  public void mergeAttention(Stream stream, Tensor parts, AttentionShape shape, Tensor out) {
    merge.run(parts, shape, out);
  }

  @Override
  public void siluMultiply(Stream stream, Tensor gateUp, Tensor out) {
    team.run(
        out.rows(),
        (row, _) -> {
          Vector inputs = vector(gateUp, row);
          Vector results = vector(out, row);
          for (int i = 0; i < out.columns(); i++) {
            float gate = inputs.get(i);
            results.set(i, gate / (1 + exp(-gate)) * inputs.get(out.columns() + i));
          }
        });
  }

  @Override
  public void mixExperts(
      Stream stream, Tensor x, Tensor router, ExpertLayer layer, Buffer memory, Tensor out) {
    mixture.run(stream, x, router, layer, memory, out);
  }

  private static void addScaled(long to, float scale, long from, int count) {
    MemorySegment all = NativeMemory.ALL;
    for (long i = 0; i < 4L * count; i += 4) {
      float sum = all.get(NativeMemory.FLOAT, to + i);
      all.set(NativeMemory.FLOAT, to + i, sum + scale * all.get(NativeMemory.FLOAT, from + i));
    }
  }

  @Override
  public void chooseRows(
      Stream stream,
      Tensor router,
      int firstExpert,
      int experts,
      int perToken,
      Tensor chosen,
      Tensor counts) {
    mixture.choose(router, firstExpert, experts, perToken, chosen, counts);
  }

  @Override
  public void sumRows(Stream stream, Tensor x, Tensor rows, Tensor out) {
    mixture.sum(x, rows, out);
  }

  @Override
  public void copyRows(Stream stream, Tensor x, Tensor out) {
    long bytes = x.type().bytes(x.columns());
    team.run(
        out.rows(),
        (row, _) ->
            MemorySegment.copy(
                segment(x), row * x.rowBytes(), segment(out), row * out.rowBytes(), bytes));
  }

  @Override
  public void gatherRows(Stream stream, Tensor x, Tensor rows, Tensor out) {
    team.run(
        out.rows(),
        (row, _) ->
            MemorySegment.copy(
                segment(x),
                integer(rows, row) * x.rowBytes(),
                segment(out),
                row * out.rowBytes(),
                out.type().bytes(out.columns())));
  }

  private static void normalise(Vector x, Tensor weight, float epsilon, Vector out) {
    float squares = 0;
    for (int i = 0; i < x.length; i++) {
      squares += x.get(i) * x.get(i);
    }
    float scale = 1 / (float) Math.sqrt(squares / x.length + epsilon);
    Vector weights = vector(weight, 0);
    for (int i = 0; i < x.length; i++) {
      out.set(i, x.get(i) * scale * weights.get(i));
    }
  }

  /** One output of every row, so that a row of the weight is widened once. */
  private static void project(
      Tensor x, Tensor weight, @Nullable Tensor bias, int output, Tensor out) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment widened = arena.allocate(TensorType.F32.bytes(weight.columns()));
      long start = output * weight.rowBytes();
      BlockFormat.widen(weight.type(), segment(weight), start, weight.columns(), widened);
      Vector weights = new Vector(widened, 0, weight.columns());
      float added = bias == null ? 0 : vector(bias, 0).get(output);
      for (int row = 0; row < x.rows(); row++) {
        vector(out, row).set(output, dot(vector(x, row), weights) + added);
      }
    }
  }

  private static void rotate(Vector head, Vector angles, boolean interleaved) {
    int half = head.length / 2;
    for (int i = 0; i < half; i++) {
      int first = interleaved ? 2 * i : i;
      int second = interleaved ? 2 * i + 1 : i + half;
      float cosine = angles.get(i);
      float sine = angles.get(half + i);
      float x = head.get(first);
      float y = head.get(second);
      head.set(first, x * cosine - y * sine);
      head.set(second, y * cosine + x * sine);
    }
  }

  @Override
  public void store(Stream stream, Tensor keysValues, AttentionBatch batch, KvCache cache) {
    team.run(keysValues.rows(), (row, _) -> store(keysValues, 0, row, batch, cache));
  }

  /**
   * @param firstKey heads of a row before its keys
   */
  private static void store(
      Tensor rows, int firstKey, int row, AttentionBatch batch, KvCache cache) {
    AttentionShape shape = cache.shape();
    int position = integer(batch.positions(), row);
    if (position < 0 || !cache.holds(position)) {
      return;
    }
    for (int kvHead = 0; kvHead < shape.kvHeads(); kvHead++) {
      Head head = new Head(cache, batch, row, kvHead);
      int held = position / cache.parts();
      head.key(held).copyFrom(head(rows, row, firstKey + kvHead, shape));
      head.value(held).copyFrom(head(rows, row, firstKey + shape.kvHeads() + kvHead, shape));
    }
  }

  /** The largest score, and the sum of the weights that are scaled by it. */
  private record Weights(float largest, float sum) {}

  /**
   * Keys are walked twice, in order of position: for the scores, then for the mixture, which is
   * left undivided.
   */
  private static Weights attend(Head head, Vector query, float scale, Vector out) {
    int keys = head.cache.held(integer(head.batch.positions(), head.row));
    float[] scores = new float[keys];
    float largest = -Float.MAX_VALUE;
    for (int i = 0; i < keys; i++) {
      scores[i] = dot(query, head.key(i)) * scale;
      largest = Math.max(largest, scores[i]);
    }
    float[] mixture = new float[out.length];
    float sum = 0;
    for (int i = 0; i < keys; i++) {
      float weight = exp(scores[i] - largest);
      Vector value = head.value(i);
      sum += weight;
      for (int j = 0; j < mixture.length; j++) {
        mixture[j] += weight * value.get(j);
      }
    }
    for (int j = 0; j < mixture.length; j++) {
      out.set(j, mixture[j]);
    }
    return new Weights(largest, sum);
  }

  private static float dot(Vector a, Vector b) {
    float sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += a.get(i) * b.get(i);
    }
    return sum;
  }

  /** The strict one, which gives the same bits interpreted and compiled. */
  private static float exp(float x) {
    return (float) StrictMath.exp(x);
  }

  private static Vector vector(Tensor tensor, int row) {
    return new Vector(segment(tensor), row * tensor.rowBytes(), tensor.columns());
  }

  private static Vector head(Tensor tensor, int row, int head, AttentionShape shape) {
    long offset = row * tensor.rowBytes() + TensorType.F32.bytes((long) head * shape.headDim());
    return new Vector(segment(tensor), offset, shape.headDim());
  }

  /** Floats in device memory, {@code stride} bytes from one to the next. */
  private record Vector(MemorySegment memory, long offset, int length, long stride) {
    Vector(MemorySegment memory, long offset, int length) {
      this(memory, offset, length, Float.BYTES);
    }

    float get(int index) {
      return memory.get(NativeMemory.FLOAT, offset + index * stride);
    }

    void set(int index, float value) {
      memory.set(NativeMemory.FLOAT, offset + index * stride, value);
    }

    void copyFrom(Vector other) {
      for (int i = 0; i < length; i++) {
        set(i, other.get(i));
      }
    }
  }

  /** A key-value head of the sequence that a row of the batch belongs to; tokens are held ones. */
  private record Head(KvCache cache, AttentionBatch batch, int row, int kvHead) {
    Vector key(int held) {
      KvLayout layout = KvLayout.of(cache);
      long offset = layout.keys(block(held), kvHead) + (long) token(held) * Float.BYTES;
      return new Vector(segment(cache.keys()), offset, layout.headDim(), layout.keyStride());
    }

    Vector value(int held) {
      KvLayout layout = KvLayout.of(cache);
      long offset = layout.values(block(held), kvHead) + token(held) * layout.valueStride();
      return new Vector(segment(cache.values()), offset, layout.headDim());
    }

    private int token(int held) {
      return held % cache.blockSize();
    }

    private int block(int held) {
      long row = integer(batch.rowSequences(), this.row) * batch.blockTables().rowBytes();
      long column = held / cache.blockSize();
      return segment(batch.blockTables()).get(NativeMemory.INT, row + column * Integer.BYTES);
    }
  }
}
