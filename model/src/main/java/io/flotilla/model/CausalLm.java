package io.flotilla.model;

import io.flotilla.kernels.AttentionShape;
import io.flotilla.kernels.KvCache;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import io.flotilla.model.StageInput.Activations;
import io.flotilla.model.layer.Share;
import io.flotilla.model.layer.StepRows;
import java.util.List;

/**
 * One rank's share of a causal language model: a stage's layers, a tensor-parallel shard of each.
 * Used by the rank's thread alone; its activations are valid until the next call.
 */
public interface CausalLm {
  StageSlice slice();

  /** The geometry of each layer's KV cache on this rank. */
  AttentionShape attention();

  int vocabularySize();

  /** The tokens whose logits this rank computes. */
  Share vocabularyShare();

  /** Bytes of device memory held besides mapped weights and the KV cache. */
  Footprint footprint();

  /**
   * Runs the stage's layers on the rows of a step.
   *
   * @param input ids for the stage with the embedding, else activations
   * @param caches one for each layer of the stage
   * @return the activations after the last layer
   */
  Activations forward(Stream stream, StageInput input, StepRows rows, List<KvCache> caches);

  /**
   * The logits of chosen rows of the last stage's activations.
   *
   * @param rows I32 {@code [1, n]}, indices of rows of {@code activations}, n at most {@link
   *     ModelLimits#maxLogitRows}
   * @return F32 {@code [n, vocabularyShare().count()]}, the same memory at every call
   */
  Tensor logits(Stream stream, Activations activations, Tensor rows);

  /**
   * Device memory of one rank's model.
   *
   * @param widened F32 copies of norm weights and biases
   * @param activations of the largest step, and the table of rotations
   * @param logits the buffer of logits and of the rows gathered for it
   */
  record Footprint(long widened, long activations, long logits) {}
}
