package io.flotilla.kernels.cpu;

import io.flotilla.kernels.AttentionBatch;
import io.flotilla.kernels.AttentionShape;
import io.flotilla.kernels.Buffer;
import io.flotilla.kernels.ExpertLayer;
import io.flotilla.kernels.KvCache;
import io.flotilla.kernels.Ops;
import io.flotilla.kernels.RopeTable;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import java.util.List;
import java.util.function.IntConsumer;
import org.jspecify.annotations.Nullable;

/**
 * The operations, cut into tiles that are spread over a team. What is neither a matrix product nor
 * attention works row by row.
 */
final class TiledOps implements Ops {
  /** Elements below which a hand-over to the team costs more than it saves. */
  private static final int SMALL = 16 << 10;

  private final ThreadTeam team;
  private final TileKernels kernels;
  private final TiledLinear linear;
  private final TiledAttention attention;
  private final AttentionMerge merge;
  private final ScalarOps scalar;
  private final ExpertMixture mixture;

  TiledOps(ThreadTeam team, TileKernels kernels) {
    this.team = team;
    this.kernels = kernels;
    this.scalar = new ScalarOps(team);
    this.merge = new AttentionMerge(team, kernels::addScaled);
    this.mixture = new ExpertMixture(this, team, kernels::addScaled);
    this.linear = new TiledLinear(team, kernels);
    this.attention = new TiledAttention(team, kernels);
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
        x.rows(),
        columns,
        row -> kernels.normalise(row(x, row), weights, columns, epsilon, row(out, row)));
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
          kernels.add(row(residual, row), row(delta, row), columns);
          kernels.normalise(row(residual, row), weights, columns, epsilon, row(out, row));
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
    RotaryStore store = new RotaryStore(queryNorm, keyNorm, epsilon, rope, batch, cache, kernels);
    eachRow(qkv.rows(), qkv.columns(), row -> store.run(row(qkv, row), row));
  }

  @Override
  public void store(Stream stream, Tensor keysValues, AttentionBatch batch, KvCache cache) {
    CacheStore store = new CacheStore(batch, cache);
    long values = 4L * keysValues.columns() / 2;
    eachRow(
        keysValues.rows(),
        keysValues.columns(),
        row -> store.run(row(keysValues, row), row(keysValues, row) + values, row));
  }

  @Override
  public void attention(
      Stream stream, Tensor queries, KvCache cache, AttentionBatch batch, float scale, Tensor out) {
    attention.run(queries, cache, batch, scale, out);
  }

  @Override
  public void attentionPart(
      Stream stream, Tensor queries, KvCache cache, AttentionBatch batch, float scale, Tensor out) {
    attention.runPart(queries, cache, batch, scale, out);
  }

  @Override
  public void mergeAttention(Stream stream, Tensor parts, AttentionShape shape, Tensor out) {
    merge.run(parts, shape, out);
  }

  @Override
  public void siluMultiply(Stream stream, Tensor gateUp, Tensor out) {
    int columns = out.columns();
    eachRow(
        out.rows(),
        columns,
        row ->
            kernels.gate(
                row(gateUp, row), row(gateUp, row) + 4L * columns, columns, row(out, row)));
  }

  @Override
  public void mixExperts(
      Stream stream, Tensor x, Tensor router, ExpertLayer layer, Buffer memory, Tensor out) {
    mixture.run(stream, x, router, layer, memory, out);
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
    eachRow(out.rows(), x.columns(), row -> NativeMemory.copy(row(x, row), row(out, row), bytes));
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
}
