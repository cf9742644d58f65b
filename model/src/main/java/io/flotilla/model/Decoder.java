package io.flotilla.model;

import io.flotilla.checkpoint.ExpertConfig;
import io.flotilla.checkpoint.ModelConfig;
import io.flotilla.kernels.AttentionBatch;
import io.flotilla.kernels.AttentionShape;
import io.flotilla.kernels.KvCache;
import io.flotilla.kernels.Ops;
import io.flotilla.kernels.RopeTable;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import io.flotilla.kernels.TensorType;
import io.flotilla.model.StageInput.Activations;
import io.flotilla.model.StageInput.Ids;
import io.flotilla.model.layer.DecoderLayer;
import io.flotilla.model.layer.ExchangeMemory;
import io.flotilla.model.layer.ExpertMlp;
import io.flotilla.model.layer.RmsNorm;
import io.flotilla.model.layer.RopeTables;
import io.flotilla.model.layer.Scratch;
import io.flotilla.model.layer.SelfAttention;
import io.flotilla.model.layer.ShardLoader;
import io.flotilla.model.layer.Share;
import io.flotilla.model.layer.StepRows;
import io.flotilla.model.layer.TensorParallel;
import io.flotilla.model.layer.VocabularyEmbedding;
import io.flotilla.model.layer.VocabularyHead;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A pre-norm decoder. The sum of residual and delta is left to the next norm, which does both in
 * one pass; so a stage hands both over.
 */
final class Decoder implements CausalLm {
  private static final String EMBEDDING = "model.embed_tokens.weight";

  private final StageSlice slice;
  private final AttentionShape attention;
  private final @Nullable VocabularyEmbedding embedding;
  private final List<DecoderLayer> layers;
  private final @Nullable Head head;
  private final Scratch scratch;
  private final int vocabularySize;
  private final Share vocabularyShare;
  private final Footprint footprint;

  Decoder(ModelFamily family, ModelConfig config, ShardLoader loader, ModelLimits limits) {
    TensorParallel parallel = loader.parallel();
    this.slice = limits.slice();
    this.vocabularySize = config.vocabularySize();
    this.vocabularyShare = loader.ranks().place().vocabulary(vocabularySize);
    this.attention = SelfAttention.shape(config, parallel);
    this.embedding =
        slice.embedding()
            ? new VocabularyEmbedding(
                loader, EMBEDDING, config.vocabularySize(), config.hiddenSize())
            : null;
    RopeTable rope = RopeTables.load(loader, config, limits.maxPositions());
    List<DecoderLayer> loaded = new ArrayList<>();
    for (int layer = slice.firstLayer(); layer < slice.endLayer(); layer++) {
      loaded.add(family.loadLayer(loader, config, layer, rope));
    }
    this.layers = List.copyOf(loaded);
    this.head = slice.head() ? new Head(loader, config, limits.maxLogitRows()) : null;
    ExpertConfig experts = config.experts();
    this.scratch =
        new Scratch(
            loader.device(),
            limits.maxRows(),
            config.hiddenSize(),
            attention,
            intermediateColumns(config, parallel, loader.isExpertParallel()),
            experts,
            experts == null ? 0 : ExpertMlp.columns(experts, parallel, loader.isExpertParallel()),
            ExchangeMemory.of(loader, config, attention, limits.maxRows()));
    this.footprint =
        new Footprint(
            loader.widenedBytes(),
            scratch.bytes() + rope.angles().buffer().bytes(),
            head == null ? 0 : head.bytes());
  }

  /**
   * Columns between the matrices of an MLP or an expert, whichever has more on this rank.
   *
   * @throws IllegalArgumentException when they cannot be shared between the ranks
   */
  static int intermediateColumns(
      ModelConfig config, TensorParallel parallel, boolean expertParallel) {
    int columns = 0;
    for (int layer = 0; layer < config.layers(); layer++) {
      ExpertConfig experts = config.experts(layer);
      columns =
          Math.max(
              columns,
              experts == null
                  ? parallel.share(config.intermediateSize(), "columns of the MLP")
                  : ExpertMlp.columns(experts, parallel, expertParallel));
    }
    return columns;
  }

  @Override
  public StageSlice slice() {
    return slice;
  }

  @Override
  public AttentionShape attention() {
    return attention;
  }

  @Override
  public int vocabularySize() {
    return vocabularySize;
  }

  @Override
  public Share vocabularyShare() {
    return vocabularyShare;
  }

  @Override
  public Footprint footprint() {
    return footprint;
  }

  @Override
  public Activations forward(Stream stream, StageInput input, StepRows rows, List<KvCache> caches) {
    AttentionBatch batch = rows.own();
    Tensor delta = scratch.delta(batch.rows());
    Tensor normed = scratch.normed(batch.rows());
    Tensor residual = enter(stream, input, batch, normed);
    for (int i = 0; i < layers.size(); i++) {
      DecoderLayer layer = layers.get(i);
      if (i > 0) {
        layer.attentionNorm().addAndApply(stream, residual, delta, normed);
      }
      layer.attention().apply(stream, normed, rows, caches.get(i), scratch, delta);
      layer.mlpNorm().addAndApply(stream, residual, delta, normed);
      layer.mlp().apply(stream, normed, scratch, delta);
    }
    return new Activations(residual, delta);
  }

  /** Normalises the stage's input for its first layer and returns the residual. */
  private Tensor enter(Stream stream, StageInput input, AttentionBatch batch, Tensor normed) {
    RmsNorm norm = layers.getFirst().attentionNorm();
    return switch (input) {
      case Ids(Tensor ids) when embedding != null -> {
        Tensor residual = scratch.residual(batch.rows());
        embedding.apply(stream, ids, residual);
        norm.apply(stream, residual, normed);
        yield residual;
      }
      case Activations(Tensor residual, Tensor delta) when embedding == null -> {
        norm.addAndApply(stream, residual, delta, normed);
        yield residual;
      }
      case Ids _, Activations _ ->
          throw new IllegalArgumentException("the stage " + slice + " does not take " + input);
    };
  }

  @Override
  public Tensor logits(Stream stream, Activations activations, Tensor rows) {
    if (head == null) {
      throw new IllegalStateException("the stage " + slice + " has no head");
    }
    return head.logits(stream, activations, rows);
  }

  /** The final norm and the head, with the memory for the rows that pass through them. */
  private static final class Head {
    private final Ops ops;
    private final RmsNorm norm;
    private final VocabularyHead head;
    private final Tensor residual;
    private final Tensor delta;
    private final Tensor normed;
    private final Tensor logits;

    Head(ShardLoader loader, ModelConfig config, int maxRows) {
      int hidden = config.hiddenSize();
      String name = config.tiedEmbeddings() ? EMBEDDING : "lm_head.weight";
      this.ops = loader.device().ops();
      this.norm = new RmsNorm(loader, "model.norm.weight", hidden, config.rmsEpsilon());
      this.head = new VocabularyHead(loader, name, config.vocabularySize(), hidden);
      this.residual = Tensor.allocate(loader.device(), TensorType.F32, maxRows, hidden);
      TensorType type = loader.device().activationType();
      this.delta = Tensor.allocate(loader.device(), type, maxRows, hidden);
      this.normed = Tensor.allocate(loader.device(), type, maxRows, hidden);
      this.logits =
          Tensor.allocate(
              loader.device(),
              TensorType.F32,
              maxRows,
              loader.ranks().place().vocabulary(config.vocabularySize()).count());
    }

    long bytes() {
      return residual.buffer().bytes()
          + delta.buffer().bytes()
          + normed.buffer().bytes()
          + logits.buffer().bytes();
    }

    Tensor logits(Stream stream, Activations activations, Tensor rows) {
      int count = rows.columns();
      Tensor chosenResidual = residual.sliceRows(0, count);
      Tensor chosenDelta = delta.sliceRows(0, count);
      Tensor chosenNormed = normed.sliceRows(0, count);
      Tensor out = logits.sliceRows(0, count);
      ops.gatherRows(stream, activations.residual(), rows, chosenResidual);
      ops.gatherRows(stream, activations.delta(), rows, chosenDelta);
      norm.addAndApply(stream, chosenResidual, chosenDelta, chosenNormed);
      head.apply(stream, chosenNormed, out);
      return out;
    }
  }
}
