package io.flotilla.executor;

import io.flotilla.checkpoint.ModelConfig;
import io.flotilla.checkpoint.WeightSource;
import io.flotilla.executor.StepPlan.SequenceStep;
import io.flotilla.kernels.AttentionBatch;
import io.flotilla.kernels.AttentionShape;
import io.flotilla.kernels.Device;
import io.flotilla.kernels.KvCache;
import io.flotilla.kernels.Stream;
import io.flotilla.model.Architectures;
import io.flotilla.model.CausalLm;
import io.flotilla.model.ModelLimits;
import io.flotilla.model.StageInput.Activations;
import io.flotilla.model.StageInput.Ids;
import io.flotilla.model.StageSlice;
import io.flotilla.model.layer.SelfAttention;
import io.flotilla.model.layer.ShardLoader;
import io.flotilla.model.layer.TensorParallel;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;

/**
 * One device with its share of the model, its KV cache and its slots. Everything but {@link
 * #progress} is called by the rank's thread.
 */
final class Rank implements AutoCloseable {
  private final Device device;
  private final Stream stream;
  private final AtomicLong scored = new AtomicLong();
  private final CausalLm model;
  private final List<KvCache> caches;
  private final Slot[] slots;
  private final StepBatch batch;
  private final StepScoring scoring;
  private final @Nullable DeviceSampling sampling;
  private final MemoryPlan memory;
  private final Map<SingleRows, Activations> yielded = new HashMap<>();

  /**
   * Loads the model and allocates everything a step needs. Weights, device and arena must outlive
   * the rank.
   *
   * @param arena for host memory
   * @throws io.flotilla.checkpoint.CheckpointException when the model cannot be served
   * @throws IllegalArgumentException when it does not fit
   */
  Rank(
      ExecutorOptions options,
      ModelConfig config,
      WeightSource weights,
      Device device,
      Arena arena) {
    this.device = device;
    this.stream = device.openStream();
    StageSlice slice = StageSlice.whole(config);
    AttentionShape attention = SelfAttention.shape(config, TensorParallel.SINGLE);
    long kvBlock =
        Math.multiplyExact(slice.layers(), device.kvBlockBytes(attention, options.blockSize()));
    int kvBlocks = MemoryPlan.fittingBlocks(options, kvBlock);
    ModelLimits limits =
        new ModelLimits(
            slice,
            options.maxModelLength(),
            options.maxBatchedTokens(),
            StepScoring.rowsAtOnce(options, config.vocabularySize(), device));
    ShardLoader loader = new ShardLoader(weights, device, stream, TensorParallel.SINGLE);
    this.model = Architectures.load(config, loader, limits);
    List<KvCache> allocated = new ArrayList<>();
    for (int layer = 0; layer < slice.layers(); layer++) {
      allocated.add(device.allocateKvCache(attention, kvBlocks, options.blockSize()));
    }
    this.caches = List.copyOf(allocated);
    this.slots = new Slot[options.maxSequences()];
    for (int slot = 0; slot < slots.length; slot++) {
      slots[slot] = new Slot();
    }
    this.batch = new StepBatch(device, arena, options);
    this.scoring = new StepScoring(model, device, stream, arena, options, scored);
    this.sampling =
        device
            .sampling()
            .map(
                tokens ->
                    new DeviceSampling(
                        model, tokens, device, stream, arena, options, limits.maxLogitRows()))
            .orElse(null);
    this.memory =
        new MemoryPlan(
            weights.totalBytes(),
            model.footprint(),
            batch.bytes() + scoring.bytes(),
            kvBlock,
            kvBlocks,
            options);
  }

  MemoryPlan memory() {
    return memory;
  }

  /** Grows while a step makes progress, on the device or in sampling. Readable from any thread. */
  long progress() {
    return device.progress() + scored.get();
  }

  /** Starts a step; where the device samples, it goes on when this returns. */
  PendingStep launch(StepPlan plan) {
    for (SequenceStep sequence : plan.sequences()) {
      prepare(sequence);
    }
    if (plan.sequences().isEmpty()) {
      return PendingStep.done(new StepResult(plan.step(), List.of(), List.of()));
    }
    StepBatch.Uploaded rows = batch.upload(stream, plan.sequences(), slots);
    if (sampling == null) {
      return PendingStep.done(scoring.score(plan, slots, forward(rows)));
    }
    sampling.takeLast(plan, slots, rows.ids());
    Activations activations = forward(rows);
    return DeviceSampling.canSample(plan, slots)
        ? sampling.sample(plan, slots, activations)
        : PendingStep.done(scoring.score(plan, slots, activations));
  }

  private Activations forward(StepBatch.Uploaded rows) {
    Ids ids = new Ids(rows.ids());
    AttentionBatch attention = rows.batch();
    if (!rows.single()) {
      return model.forward(stream, ids, attention, caches);
    }
    SingleRows key = new SingleRows(attention.rows(), attention.blockTables().columns());
    stream.repeat(key, () -> yielded.put(key, model.forward(stream, ids, attention, caches)));
    return Objects.requireNonNull(yielded.get(key));
  }

  /** What tells one step of single rows from another: all else is in the same device memory. */
  private record SingleRows(int rows, int columns) {}

  private void prepare(SequenceStep sequence) {
    Slot slot = slots[sequence.slot()];
    if (sequence.admission() != null) {
      slot.admit(sequence.admission());
    }
    for (int block : sequence.newBlocks()) {
      if (block < 0 || block >= memory.kvBlocks()) {
        throw new IllegalArgumentException(
            "KV block " + block + " of " + memory.kvBlocks() + " in slot " + sequence.slot());
      }
    }
    slot.appendBlocks(sequence.newBlocks());
    long end = sequence.computed() + (long) sequence.tokens().count();
    long room = (long) slot.blockCount() * memory.options().blockSize();
    if (end > room) {
      throw new IllegalArgumentException(
          "slot %d has KV blocks for %d tokens, the step ends at %d"
              .formatted(sequence.slot(), room, end));
    }
  }

  @Override
  public void close() {
    stream.close();
  }
}
