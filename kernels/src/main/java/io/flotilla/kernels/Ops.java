package io.flotilla.kernels;

import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The operations a model is made of. Each enqueues its work on the stream and returns nothing from
 * the device. Activations are of the device's own type (F32 on a CPU), but for residuals, which are
 * F32 everywhere; weights are as {@link Device#load} yields them. Outputs never overlap inputs
 * unless said.
 *
 * <p>On a CPU a row of output depends on that row's inputs alone, to the bit: not on the other
 * rows, not on their number and not on the number of threads.
 */
public interface Ops {
  /** {@code out[r] = table[ids[r]]}, widened to F32. {@code ids} is I32 {@code [1, rows]}. */
  void embed(Stream stream, Tensor table, Tensor ids, Tensor out);

  /**
   * {@link #embed} from a part of the table: the row of an id outside the part is zero.
   *
   * @param firstId the id of the part's first row
   */
  void embedPart(Stream stream, Tensor table, int firstId, Tensor ids, Tensor out);

  /**
   * {@code out[r] = x[r] / sqrt(mean(x[r]^2) + epsilon) * weight} (RMSNorm, arXiv 1910.07467).
   * {@code x} is F32; {@code out} may be {@code x} where activations are F32 too.
   */
  void rmsNorm(Stream stream, Tensor x, Tensor weight, float epsilon, Tensor out);

  /** {@code residual += delta}, F32, then {@link #rmsNorm} of the sum into {@code out}. */
  void addRmsNorm(
      Stream stream, Tensor residual, Tensor delta, Tensor weight, float epsilon, Tensor out);

  /**
   * {@code out[r] = concat_i(weights[i] x[r] + biases[i])}.
   *
   * @param x {@code [rows, inputs]}
   * @param weights each {@code [outputs_i, inputs]}
   * @param biases null for none, else one F32 {@code [1, outputs_i]} a weight
   * @param out {@code [rows, sum of outputs_i]}, activations or F32
   */
  void linear(
      Stream stream, Tensor x, List<Tensor> weights, @Nullable List<Tensor> biases, Tensor out);

  /**
   * Normalises (where norms are given) and rotates the queries and keys of each row in place, and
   * stores its keys and values in the cache.
   *
   * @param qkv {@code [rows, shape.qkvColumns()]}
   * @param queryNorm F32 {@code [1, headDim]}, or null for none; so {@code keyNorm}
   */
  void rotateAndStore(
      Stream stream,
      Tensor qkv,
      @Nullable Tensor queryNorm,
      @Nullable Tensor keyNorm,
      float epsilon,
      RopeTable rope,
      AttentionBatch batch,
      KvCache cache);

  /**
   * Stores keys and values of rows, normalised and rotated before, in the cache.
   *
   * @param keysValues {@code [rows, 2 * kvHeads * headDim]}: the keys of each head, then the values
   * @param batch of which rows at position -1 are left out
   */
  void store(Stream stream, Tensor keysValues, AttentionBatch batch, KvCache cache);

  /**
   * Causal attention of each row over its sequence's cached keys and values, its own included:
   * softmax(scale q k) v.
   *
   * @param queries the query columns of the fused projection, {@code [rows, shape.queryColumns()]}
   * @param out {@code [rows, shape.queryColumns()]}
   */
  void attention(
      Stream stream, Tensor queries, KvCache cache, AttentionBatch batch, float scale, Tensor out);

  /**
   * What {@link #attention} makes of the tokens that this rank holds, for the queries of all ranks
   * that hold a sequence's tokens between them; {@link #mergeAttention} makes the whole of it. The
   * cache has one key-value head, which all queries share.
   *
   * @param queries {@code [parts * rows, queryColumns]}: the rows of the first rank, then those of
   *     the next
   * @param out F32 {@code [parts * rows, queryColumns + 2 * heads]}: for each head the sum of
   *     {@code exp(score - largest) v}; then of each head the largest score; then of each the sum
   *     of {@code exp(score - largest)}, zero where the rank holds no token
   */
  void attentionPart(
      Stream stream, Tensor queries, KvCache cache, AttentionBatch batch, float scale, Tensor out);

  /**
   * Attention from what each rank made of the tokens it holds, added in the order of ranks.
   *
   * @param parts F32 {@code [parts * rows, queryColumns + 2 * heads]}, those of the first rank
   *     first
   * @param out {@code [rows, queryColumns]}
   */
  void mergeAttention(Stream stream, Tensor parts, AttentionShape shape, Tensor out);

  /** {@code out = silu(gate) * up}, where a row of {@code gateUp} is {@code [gate | up]}. */
  void siluMultiply(Stream stream, Tensor gateUp, Tensor out);

  /**
   * A mixture of experts (arXiv 2101.03961, 2401.04088): a row is computed by the {@code perToken}
   * experts with the largest softmax of its router's logits, of equals the first, and {@code out[r]
   * = sum_e w_e down_e(silu(gate_e x[r]) * up_e x[r])} over those of them that this rank holds.
   *
   * @param x {@code [rows, hidden]}
   * @param router the logits of all experts, F32 {@code [rows, experts]}
   * @param memory {@link Device#mixtureBytes} of it or more
   * @param out {@code [rows, hidden]}
   */
  void mixExperts(
      Stream stream, Tensor x, Tensor router, ExpertLayer layer, Buffer memory, Tensor out);

  /**
   * Finds the rows that ranks compute, where neighbouring ranks have neighbouring experts, as many
   * each, and rows are routed as {@link #mixExperts} does.
   *
   * @param router the logits of all experts, F32 {@code [rows, experts]}
   * @param firstExpert of the first rank
   * @param experts of each rank
   * @param perToken experts that compute a row
   * @param chosen I32 {@code [1, n]}, n at least {@code (ranks + 1) * rows}: the rows that have an
   *     expert on the first rank, in their order, then those that have one on the next, then
   *     anything
   * @param counts I32 {@code [1, ranks]}: how many each rank has
   */
  void chooseRows(
      Stream stream,
      Tensor router,
      int firstExpert,
      int experts,
      int perToken,
      Tensor chosen,
      Tensor counts);

  /**
   * {@code out[r]} is the sum of {@code x[i]} for all i with {@code rows[i] = r}, in their order.
   *
   * @param rows I32 {@code [1, x.rows()]}
   */
  void sumRows(Stream stream, Tensor x, Tensor rows, Tensor out);

  /** {@code out = x}, of the same shape; rows may have gaps between them. */
  void copyRows(Stream stream, Tensor x, Tensor out);

  /** {@code out[i] = x[rows[i]]}. {@code rows} is I32 {@code [1, out.rows()]}. */
  void gatherRows(Stream stream, Tensor x, Tensor rows, Tensor out);
}
