package io.flotilla.kernels.cpu;

import io.flotilla.kernels.AttentionBatch;
import io.flotilla.kernels.Buffer;
import io.flotilla.kernels.ExpertLayer;
import io.flotilla.kernels.KvCache;
import io.flotilla.kernels.Ops;
import io.flotilla.kernels.RopeTable;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import java.lang.foreign.Arena;
import java.util.List;
import java.util.function.IntConsumer;
import jdk.incubator.vector.FloatVector;
import org.jspecify.annotations.Nullable;

/**
 * The operations on the Vector API. Matrix products are {@link VectorLinear}'s, attention is {@link
 * VectorAttention}'s; what is left works row by row, its rows spread over the team.
 */
final class VectorOps implements Ops {
  /** Elements below which a hand-over to the team costs more than it saves. */
  private static final int SMALL = 16 << 10;

  private final ThreadTeam team;
  private final VectorLinear linear;
  private final VectorAttention attention;
  private final ScalarOps scalar;
  private final ExpertMixture mixture;

  /**
   * @param arena for the workers' scratch memory
   */
  VectorOps(ThreadTeam team, Arena arena) {
    this.team = team;
    this.scalar = new ScalarOps(team);
    this.mixture = new ExpertMixture(this, team, VectorOps::addScaled);
    this.linear = new VectorLinear(team, arena);
    this.attention = new VectorAttention(team, arena);
  }

  @Override
  public void embed(Stream stream, Tensor table, Tensor ids, Tensor out) {
    scalar.embed(stream, table, ids, out);
  }

  @Override
  public void embedPart(Stream stream, Tensor table, int firstId, Tensor ids, Tensor out) {
    scalar.embedPart(stream, table, firstId, ids, out);
  }

  @Override
  public void rmsNorm(Stream stream, Tensor x, Tensor weight, float epsilon, Tensor out) {
    long weights = NativeMemory.address(weight);
    int columns = x.columns();
    eachRow(
        x.rows(), columns, row -> normalise(row(x, row), weights, columns, epsilon, row(out, row)));
  }

  @Override
  public void addRmsNorm(
      Stream stream, Tensor residual, Tensor delta, Tensor weight, float epsilon, Tensor out) {
    long weights = NativeMemory.address(weight);
    int columns = residual.columns();
    eachRow(
        residual.rows(),
        columns,
        row -> {
          add(row(residual, row), row(delta, row), columns);
          normalise(row(residual, row), weights, columns, epsilon, row(out, row));
        });
  }

  @Override
  public void linear(
      Stream stream, Tensor x, List<Tensor> weights, @Nullable List<Tensor> biases, Tensor out) {
    linear.run(x, weights, biases, out);
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
    RotaryStore store = new RotaryStore(queryNorm, keyNorm, epsilon, rope, batch, cache);
    eachRow(qkv.rows(), qkv.columns(), row -> store.run(row(qkv, row), row));
  }

  @Override
  public void attention(
      Stream stream, Tensor queries, KvCache cache, AttentionBatch batch, float scale, Tensor out) {
    attention.run(queries, cache, batch, scale, out);
  }

  @Override
  public void siluMultiply(Stream stream, Tensor gateUp, Tensor out) {
    int columns = out.columns();
    eachRow(
        out.rows(),
        columns,
        row -> gate(row(gateUp, row), row(gateUp, row) + 4L * columns, columns, row(out, row)));
  }

  @Override
  public long mixtureBytes(int rows, int hidden, int intermediate, int experts, int perToken) {
    return ExpertMixture.bytes(rows, hidden, intermediate);
  }

  @Override
  public void mixExperts(
      Stream stream, Tensor x, Tensor router, ExpertLayer layer, Buffer memory, Tensor out) {
    mixture.run(stream, x, router, layer, memory, out);
  }

  private static void addScaled(long to, float scale, long from, int columns) {
    int whole = Lanes.FLOATS.loopBound(columns);
    for (int i = 0; i < whole; i += Lanes.COUNT) {
      FloatVector product = Lanes.load(from + 4L * i).mul(scale);
      Lanes.store(Lanes.load(to + 4L * i).add(product), to + 4L * i);
    }
    for (int i = whole; i < columns; i++) {
      float product = Lanes.getFloat(from + 4L * i) * scale;
      Lanes.setFloat(to + 4L * i, Lanes.getFloat(to + 4L * i) + product);
    }
  }

  @Override
  public void gatherRows(Stream stream, Tensor x, Tensor rows, Tensor out) {
    scalar.gatherRows(stream, x, rows, out);
  }

  private static long row(Tensor tensor, int row) {
    return NativeMemory.address(tensor) + row * tensor.rowBytes();
  }

  /** Runs something for every row, in as many tiles as are worth a hand-over. */
  private void eachRow(int rows, int columns, IntConsumer body) {
    int rowsPerTile = Math.max(1, SMALL / columns);
    team.run(
        Math.ceilDiv(rows, rowsPerTile),
        (tile, _) -> {
          int end = Math.min(rows, (tile + 1) * rowsPerTile);
          for (int row = tile * rowsPerTile; row < end; row++) {
            body.accept(row);
          }
        });
  }

  private static void add(long to, long from, int columns) {
    int whole = Lanes.FLOATS.loopBound(columns);
    for (int i = 0; i < whole; i += Lanes.COUNT) {
      Lanes.store(Lanes.load(to + 4L * i).add(Lanes.load(from + 4L * i)), to + 4L * i);
    }
    for (int i = whole; i < columns; i++) {
      Lanes.setFloat(to + 4L * i, Lanes.getFloat(to + 4L * i) + Lanes.getFloat(from + 4L * i));
    }
  }

  /** RMSNorm of one row; {@code out} may be {@code x}. */
  static void normalise(long x, long weights, int columns, float epsilon, long out) {
    float scale = (float) (1 / Math.sqrt(squares(x, columns) / columns + epsilon));
    int whole = Lanes.FLOATS.loopBound(columns);
    for (int i = 0; i < whole; i += Lanes.COUNT) {
      long offset = 4L * i;
      Lanes.store(
          Lanes.load(x + offset).mul(scale).mul(Lanes.load(weights + offset)), out + offset);
    }
    for (int i = whole; i < columns; i++) {
      long offset = 4L * i;
      Lanes.setFloat(
          out + offset, Lanes.getFloat(x + offset) * scale * Lanes.getFloat(weights + offset));
    }
  }

  private static double squares(long x, int columns) {
    FloatVector squares = Lanes.zero();
    int whole = Lanes.FLOATS.loopBound(columns);
    for (int i = 0; i < whole; i += Lanes.COUNT) {
      FloatVector value = Lanes.load(x + 4L * i);
      squares = value.fma(value, squares);
    }
    double sum = 0;
    for (int lane = 0; lane < Lanes.COUNT; lane++) {
      sum += squares.lane(lane);
    }
    for (int i = whole; i < columns; i++) {
      float value = Lanes.getFloat(x + 4L * i);
      sum += value * value;
    }
    return sum;
  }

  private static void gate(long gate, long up, int columns, long out) {
    int whole = Lanes.FLOATS.loopBound(columns);
    for (int i = 0; i < whole; i += Lanes.COUNT) {
      long offset = 4L * i;
      FloatVector value = silu(Lanes.load(gate + offset));
      Lanes.store(value.mul(Lanes.load(up + offset)), out + offset);
    }
    for (int i = whole; i < columns; i++) {
      long offset = 4L * i;
      float value = silu(Lanes.broadcast(Lanes.getFloat(gate + offset))).lane(0);
      Lanes.setFloat(out + offset, value * Lanes.getFloat(up + offset));
    }
  }

  private static FloatVector silu(FloatVector x) {
    return x.div(Lanes.exp(x.neg()).add(1f));
  }
}
