package io.flotilla.executor;

import io.flotilla.kernels.AttentionBatch;
import io.flotilla.kernels.Buffer;
import io.flotilla.kernels.ExpertLayer;
import io.flotilla.kernels.KvCache;
import io.flotilla.kernels.Ops;
import io.flotilla.kernels.RopeTable;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Operations that only count their products with weights. */
final class PaperOps implements Ops {
  private final StepWork work;

  PaperOps(StepWork work) {
    this.work = work;
  }

  @Override
  public void linear(
      Stream stream, Tensor x, List<Tensor> weights, @Nullable List<Tensor> biases, Tensor out) {
    weights.forEach(matrix -> work.multiply(matrix, 1, x.rows()));
  }

  /** As if each token chose its experts by lot: some experts are then chosen by nobody. */
  @Override
  public void mixExperts(
      Stream stream, Tensor x, Tensor router, ExpertLayer layer, Buffer memory, Tensor out) {
    double chosen = (double) layer.perToken() / router.columns();
    double read = 1 - Math.pow(1 - chosen, x.rows());
    for (int expert = 0; expert < layer.downs().size(); expert++) {
      for (Tensor matrix : layer.gateUps().get(expert)) {
        work.multiply(matrix, read, chosen * x.rows());
      }
      work.multiply(layer.downs().get(expert), read, chosen * x.rows());
    }
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
}
