package io.flotilla.model.layer;

import io.flotilla.checkpoint.ExpertConfig;
import io.flotilla.kernels.Collectives;
import io.flotilla.kernels.ExpertLayer;
import io.flotilla.kernels.Ops;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import java.util.ArrayList;
import java.util.List;

/**
 * A mixture of experts (arXiv 2401.04088), each a {@code down(silu(gate x) * up x)}. Ranks hold
 * every token, so nothing is dispatched: with expert parallelism each rank has some of the experts
 * whole, without it a part of each, and the sum over ranks has the whole output either way. The
 * router is whole on every rank.
 */
public final class ExpertMlp implements FeedForward {
  private final Ops ops;
  private final Collectives collectives;
  private final List<Tensor> router;
  private final ExpertLayer experts;

  /**
   * What families call their tensors.
   *
   * @param router such as {@code gate}
   * @param gate of an expert, such as {@code w1}
   * @param up of an expert, such as {@code w3}
   * @param down of an expert, such as {@code w2}
   */
  public record Names(String router, String gate, String up, String down) {}

  /**
   * @param name the prefix of its tensors, such as {@code model.layers.0.mlp}
   * @throws io.flotilla.checkpoint.CheckpointException when a tensor is missing or misshapen
   * @throws IllegalArgumentException when the experts cannot be shared between the ranks
   */
  public ExpertMlp(
      ShardLoader loader, ExpertConfig config, String name, Names names, int hiddenSize) {
    this.ops = loader.device().ops();
    this.collectives = loader.collectives();
    Share all = new Share(0, config.count());
    String gate = name + "." + names.router + ".weight";
    this.router = List.of(loader.rows(gate, config.count(), hiddenSize, all));
    Share share = loader.isExpertParallel() ? loader.parallel().experts(config.count()) : all;
    List<List<Tensor>> gateUps = new ArrayList<>();
    List<Tensor> downs = new ArrayList<>();
    for (int expert = share.first(); expert < share.end(); expert++) {
      String prefix = name + ".experts." + expert + ".";
      Expert loaded = new Expert(loader, config.intermediateSize(), hiddenSize);
      gateUps.add(
          List.of(
              loaded.inner(prefix + names.gate + ".weight"),
              loaded.inner(prefix + names.up + ".weight")));
      downs.add(loaded.outer(prefix + names.down + ".weight"));
    }
    this.experts =
        new ExpertLayer(gateUps, downs, share.first(), config.perToken(), config.normalised());
  }

  /** Loads an expert's matrices: whole ones, or this rank's part. */
  private record Expert(ShardLoader loader, int intermediateSize, int hiddenSize) {
    Tensor inner(String name) {
      return loader.isExpertParallel()
          ? loader.rows(name, intermediateSize, hiddenSize, new Share(0, intermediateSize))
          : loader.rowShard(name, intermediateSize, hiddenSize);
    }

    Tensor outer(String name) {
      return loader.isExpertParallel()
          ? loader.rows(name, hiddenSize, intermediateSize, new Share(0, hiddenSize))
          : loader.columnShard(name, hiddenSize, intermediateSize);
    }
  }

  /**
   * Columns between the matrices of an expert on one rank.
   *
   * @throws IllegalArgumentException when the experts cannot be shared between the ranks
   */
  public static int columns(ExpertConfig config, TensorParallel parallel, boolean expertParallel) {
    if (expertParallel) {
      parallel.experts(config.count());
      return config.intermediateSize();
    }
    return parallel.share(config.intermediateSize(), "columns of an expert");
  }

  @Override
  public void apply(Stream stream, Tensor x, Scratch scratch, Tensor out) {
    Tensor logits = scratch.router(x.rows());
    ops.linear(stream, x, router, null, logits);
    ops.mixExperts(stream, x, logits, experts, scratch.experts(x.rows()), out);
    collectives.allReduce(stream, out);
  }
}
