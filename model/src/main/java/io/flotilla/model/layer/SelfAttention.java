package io.flotilla.model.layer;

import io.flotilla.checkpoint.ModelConfig;
import io.flotilla.kernels.AttentionBatch;
import io.flotilla.kernels.AttentionShape;
import io.flotilla.kernels.Collectives;
import io.flotilla.kernels.KvCache;
import io.flotilla.kernels.Ops;
import io.flotilla.kernels.RopeTable;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import io.flotilla.model.layer.ColumnParallelLinear.Part;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Grouped-query attention (arXiv 2305.13245) over a paged cache, with rotary positions. Its tensors
 * are {@code q_proj}, {@code k_proj}, {@code v_proj}, {@code o_proj} and, where heads are
 * normalised, {@code q_norm} and {@code k_norm}.
 */
public final class SelfAttention {
  private final Ops ops;
  private final AttentionShape shape;
  private final ColumnParallelLinear projection;
  private final @Nullable RmsNorm queryNorm;
  private final @Nullable RmsNorm keyNorm;
  private final float epsilon;
  private final RopeTable rope;
  private final RowParallelLinear output;
  private final ContextKeys context;
  private final @Nullable SpreadAttention spread;

  /**
   * What families differ in.
   *
   * @param inputBias queries, keys and values have biases
   * @param outputBias the output has one
   * @param headNorms each head's queries and keys are normalised
   */
  public record Variant(boolean inputBias, boolean outputBias, boolean headNorms) {}

  /**
   * @param name the prefix of its tensors, such as {@code model.layers.0.self_attn}
   * @throws io.flotilla.checkpoint.CheckpointException when a tensor is missing or misshapen
   * @throws IllegalArgumentException when the heads cannot be shared between the ranks
   */
  public SelfAttention(
      ShardLoader loader, ModelConfig config, String name, Variant variant, RopeTable rope) {
    int queries = config.heads() * config.headDim();
    int keys = config.kvHeads() * config.headDim();
    this.ops = loader.device().ops();
    this.shape = shape(config, loader.parallel());
    Share kvHeads = loader.parallel().kvHeads(config.kvHeads());
    Share keyRows =
        new Share(kvHeads.first() * config.headDim(), kvHeads.count() * config.headDim());
    this.projection =
        new ColumnParallelLinear(
            loader,
            config.hiddenSize(),
            variant.inputBias,
            List.of(
                new Part(name + ".q_proj", queries),
                new Part(name + ".k_proj", keys, keyRows),
                new Part(name + ".v_proj", keys, keyRows)));
    this.queryNorm = variant.headNorms ? headNorm(loader, config, name + ".q_norm.weight") : null;
    this.keyNorm = variant.headNorms ? headNorm(loader, config, name + ".k_norm.weight") : null;
    this.epsilon = config.rmsEpsilon();
    this.rope = rope;
    this.output =
        new RowParallelLinear(
            loader, name + ".o_proj", queries, config.hiddenSize(), variant.outputBias);
    this.context = new ContextKeys(ops, loader.ranks().context());
    Collectives tokens = loader.ranks().keys();
    this.spread = tokens.size() == 1 ? null : new SpreadAttention(ops, tokens, shape);
  }

  /**
   * A rank's share of the heads of a layer.
   *
   * @throws IllegalArgumentException when the heads cannot be shared between the ranks
   */
  public static AttentionShape shape(ModelConfig config, TensorParallel parallel) {
    return new AttentionShape(
        parallel.share(config.heads(), "query heads"),
        parallel.kvHeads(config.kvHeads()).count(),
        config.headDim());
  }

  private static RmsNorm headNorm(ShardLoader loader, ModelConfig config, String name) {
    return new RmsNorm(loader, name, config.headDim(), config.rmsEpsilon());
  }

  /** {@code x} and {@code out} are {@code [rows, hiddenSize]}; the cache gets the rows' keys. */
  public void apply(
      Stream stream, Tensor x, StepRows rows, KvCache cache, Scratch scratch, Tensor out) {
    AttentionBatch batch = rows.own();
    AttentionBatch gathered = rows.gathered();
    Tensor qkv = scratch.projected(batch.rows(), projection.outputs());
    projection.apply(stream, x, qkv);
    ops.rotateAndStore(
        stream, qkv, weight(queryNorm), weight(keyNorm), epsilon, rope, batch, cache);
    if (gathered != null) {
      Tensor keysValues = qkv.sliceColumns(shape.queryColumns(), shape.keyValueColumns());
      context.exchange(stream, keysValues, gathered, cache, scratch.exchange());
    }
    Tensor queries = qkv.sliceColumns(0, shape.queryColumns());
    Tensor mixed = scratch.mixed(batch.rows(), shape.queryColumns());
    float scale = (float) (1 / Math.sqrt(shape.headDim()));
    if (spread == null) {
      ops.attention(stream, queries, cache, batch, scale, mixed);
    } else {
      spread.apply(stream, queries, batch, cache, scale, scratch.exchange(), mixed);
    }
    output.apply(stream, mixed, out);
  }

  private static @Nullable Tensor weight(@Nullable RmsNorm norm) {
    return norm == null ? null : norm.weight();
  }
}
