package io.flotilla.model.layer;

import io.flotilla.checkpoint.ExpertConfig;
import io.flotilla.kernels.Collectives;
import io.flotilla.kernels.ExpertLayer;
import io.flotilla.kernels.Ops;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import io.flotilla.model.layer.ShardLoader.Rows;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A mixture of experts (arXiv 2401.04088), each a {@code down(silu(gate x) * up x)}. Ranks that
 * split a layer hold the same tokens: with expert parallelism each has some of the experts whole,
 * without it a part of each, and the sum over them has the whole output either way. Ranks that
 * share out a step's rows have different experts too with expert parallelism, and send rows to each
 * other. The router is whole on every rank.
 */
public final class ExpertMlp implements FeedForward {
  private final Ops ops;
  private final Collectives collectives;
  private final List<Tensor> router;
  private final ExpertLayer experts;
  private final @Nullable ExpertDispatch dispatch;

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
    Share share = loader.isExpertParallel() ? loader.ranks().experts(config.count()) : all;
    Share columns =
        loader.isExpertParallel()
            ? new Share(0, config.intermediateSize())
            : columns(config, loader.parallel());
    List<Rows> inner = new ArrayList<>();
    List<String> outer = new ArrayList<>();
    for (int expert = share.first(); expert < share.end(); expert++) {
      String prefix = name + ".experts." + expert + ".";
      inner.add(new Rows(prefix + names.gate + ".weight", config.intermediateSize(), columns));
      inner.add(new Rows(prefix + names.up + ".weight", config.intermediateSize(), columns));
      outer.add(prefix + names.down + ".weight");
    }
    List<Tensor> loaded = loader.rows(hiddenSize, inner);
    List<List<Tensor>> gateUps = new ArrayList<>();
    for (int i = 0; i < loaded.size(); i += 2) {
      gateUps.add(loaded.subList(i, i + 2));
    }
    List<Tensor> downs = loader.columns(outer, hiddenSize, config.intermediateSize(), columns);
    this.experts =
        new ExpertLayer(gateUps, downs, share.first(), config.perToken(), config.normalised());
    Collectives context = loader.ranks().context();
    this.dispatch =
        loader.isExpertParallel() && context.size() > 1
            ? new ExpertDispatch(loader.device(), context, experts)
            : null;
  }

  /** This rank's part of each expert. */
  private static Share columns(ExpertConfig config, TensorParallel parallel) {
    int count = columns(config, parallel, false);
    return new Share(parallel.rank() * count, count);
  }

  /**
   * Columns between the matrices of an expert on one rank.
   *
   * @throws IllegalArgumentException when they cannot be shared between the ranks
   */
  public static int columns(ExpertConfig config, TensorParallel parallel, boolean expertParallel) {
    if (expertParallel) {
      return config.intermediateSize();
    }
    return parallel.share(config.intermediateSize(), "columns of an expert");
  }

  @Override
  public void apply(Stream stream, Tensor x, Scratch scratch, Tensor out) {
    Tensor logits = scratch.router(x.rows());
    ops.linear(stream, x, router, null, logits);
    if (dispatch == null) {
      mix(stream, x, logits, scratch, out);
    } else {
      dispatch.apply(
          stream,
          x,
          logits,
          scratch.exchange().dispatch(),
          (rows, router, results) -> mix(stream, rows, router, scratch, results),
          out);
    }
    collectives.allReduce(stream, out);
  }

  private void mix(Stream stream, Tensor x, Tensor logits, Scratch scratch, Tensor out) {
    ops.mixExperts(stream, x, logits, experts, scratch.mixture(), out);
  }
}
