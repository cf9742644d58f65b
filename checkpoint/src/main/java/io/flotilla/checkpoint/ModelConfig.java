package io.flotilla.checkpoint;

import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A model's shape, read from {@code config.json} (the dialects of transformers 4 and 5) or from a
 * GGUF file's metadata.
 *
 * @param architecture as in {@code architectures[0]}, such as {@code Qwen3ForCausalLM}
 * @param ropeInterleaved pairs of neighbours are rotated (GGUF files of Llama), not halves
 * @param attentionBias the checkpoint's own word on biases of query, key and value projections
 * @param endOfSequence ids that end a sequence, in the order of the file; several in Llama 3
 * @param experts of a mixture-of-experts model; null for a dense one
 */
public record ModelConfig(
    String architecture,
    int hiddenSize,
    int intermediateSize,
    int layers,
    int heads,
    int kvHeads,
    int headDim,
    int vocabularySize,
    int maxPositions,
    float rmsEpsilon,
    double ropeTheta,
    RopeScaling ropeScaling,
    boolean ropeInterleaved,
    boolean tiedEmbeddings,
    boolean attentionBias,
    boolean mlpBias,
    List<Integer> endOfSequence,
    @Nullable ExpertConfig experts) {
  public ModelConfig {
    endOfSequence = List.copyOf(endOfSequence);
  }

  /** The shape of a dense model. */
  public ModelConfig(
      String architecture,
      int hiddenSize,
      int intermediateSize,
      int layers,
      int heads,
      int kvHeads,
      int headDim,
      int vocabularySize,
      int maxPositions,
      float rmsEpsilon,
      double ropeTheta,
      RopeScaling ropeScaling,
      boolean ropeInterleaved,
      boolean tiedEmbeddings,
      boolean attentionBias,
      boolean mlpBias,
      List<Integer> endOfSequence) {
    this(
        architecture,
        hiddenSize,
        intermediateSize,
        layers,
        heads,
        kvHeads,
        headDim,
        vocabularySize,
        maxPositions,
        rmsEpsilon,
        ropeTheta,
        ropeScaling,
        ropeInterleaved,
        tiedEmbeddings,
        attentionBias,
        mlpBias,
        endOfSequence,
        null);
  }

  /** The experts of a layer, or null where it has an MLP. */
  public @Nullable ExpertConfig experts(int layer) {
    return experts == null || experts.denseLayers().contains(layer) ? null : experts;
  }
}
