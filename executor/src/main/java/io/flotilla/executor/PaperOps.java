package io.flotilla.executor;

import io.flotilla.kernels.AttentionBatch;
import io.flotilla.kernels.AttentionShape;
import io.flotilla.kernels.Buffer;
import io.flotilla.kernels.ExpertLayer;
import io.flotilla.kernels.KvCache;
import io.flotilla.kernels.Ops;
import io.flotilla.kernels.RopeTable;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Operations that only count their products with weights. */
final class PaperOps implements Ops {
  private final StepWork work;
  private final PaperRouting routing;
  private final Map<Integer, Double> reads = new HashMap<>();

  PaperOps(StepWork work, PaperRouting routing) {
    this.work = work;
    this.routing = routing;
  }

  @Override
  public void linear(
      Stream stream, Tensor x, List<Tensor> weights, @Nullable List<Tensor> biases, Tensor out) {
    weights.forEach(matrix -> work.multiply(matrix, 1, x.rows()));
  }

  /**
   * As if each token chose its experts by lot: some experts are then chosen by nobody. What is read
   * is that of the rank that has most of the chosen ones, since the others wait for it after every
   * layer; products are even.
   */
  @Override
  public void mixExperts(
      Stream stream, Tensor x, Tensor router, ExpertLayer layer, Buffer memory, Tensor out) {
    int experts = router.columns();
    int held = layer.downs().size();
    int rows = routing.rowsOf(x);
    double chosen = (double) layer.perToken() / experts;
    double read = reads.computeIfAbsent(rows, count -> shareRead(experts, held, chosen, count));
    for (int expert = 0; expert < held; expert++) {
      for (Tensor matrix : layer.gateUps().get(expert)) {
        work.multiply(matrix, read, chosen * rows);
      }
      work.multiply(layer.downs().get(expert), read, chosen * rows);
    }
  }

  private static double shareRead(int experts, int held, double chosen, int rows) {
    double distinct = experts * (1 - Math.pow(1 - chosen, rows));
    return ExpertLot.mostOnOneRank(experts, experts / held, distinct) / held;
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
    routing.choose(ExpertLot.reach(router.columns(), experts, perToken));
  }

  @Override
  public void embed(Stream stream, Tensor table, Tensor ids, Tensor out) {}

  @Override
  public void embedPart(Stream stream, Tensor table, int firstId, Tensor ids, Tensor out) {}

  @Override
  public void rmsNorm(Stream stream, Tensor x, Tensor weight, float epsilon, Tensor out) {}

  @Override
  public void addRmsNorm(
      Stream stream, Tensor residual, Tensor delta, Tensor weight, float epsilon, Tensor out) {}

  @Override
  public void rotateAndStore(
      Stream stream,
      Tensor qkv,
      @Nullable Tensor queryNorm,
      @Nullable Tensor keyNorm,
      float epsilon,
      RopeTable rope,
      AttentionBatch batch,
      KvCache cache) {}

  @Override
  public void attention(
      Stream stream,
      Tensor queries,
      KvCache cache,
      AttentionBatch batch,
      float scale,
      Tensor out) {}

  @Override
  public void siluMultiply(Stream stream, Tensor gateUp, Tensor out) {}

  @Override
  public void gatherRows(Stream stream, Tensor x, Tensor rows, Tensor out) {}

  @Override
  public void store(Stream stream, Tensor keysValues, AttentionBatch batch, KvCache cache) {}

  @Override
  public void attentionPart(
      Stream stream,
      Tensor queries,
      KvCache cache,
      AttentionBatch batch,
      float scale,
      Tensor out) {}

  @Override
  public void mergeAttention(Stream stream, Tensor parts, AttentionShape shape, Tensor out) {}

  @Override
  public void sumRows(Stream stream, Tensor x, Tensor rows, Tensor out) {}

  @Override
  public void copyRows(Stream stream, Tensor x, Tensor out) {}
}
