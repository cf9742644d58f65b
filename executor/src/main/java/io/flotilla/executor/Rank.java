package io.flotilla.executor;

import io.flotilla.checkpoint.ModelConfig;
import io.flotilla.checkpoint.WeightSource;
import io.flotilla.executor.StepPlan.SequenceStep;
import io.flotilla.kernels.AttentionBatch;
import io.flotilla.kernels.Collectives;
import io.flotilla.kernels.Device;
import io.flotilla.kernels.KvCache;
import io.flotilla.kernels.Mark;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.TokenSampling;
import io.flotilla.model.Architectures;
import io.flotilla.model.CausalLm;
import io.flotilla.model.ModelLimits;
import io.flotilla.model.StageInput;
import io.flotilla.model.StageInput.Activations;
import io.flotilla.model.StageInput.Ids;
import io.flotilla.model.layer.ShardLoader;
import java.lang.foreign.Arena;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;

/**
 * One device with its share of the model, its KV cache and its slots. Everything but {@link
 * #progress}, {@link #isWaiting} and {@link #busyNanos} is called by the rank's thread.
 */
final class Rank implements AutoCloseable {
  private final RankPlace place;
  private final Device device;
  private final Stream stream;
  private final AtomicLong scored = new AtomicLong();
  private final CausalLm model;
  private final List<KvCache> caches;
  private final Slot[] slots;
  private final StepBatch batch;
  private final StageLink link;
  private final SampleReturn sampleReturn;
  private final @Nullable StepScoring scoring;
  private final @Nullable DeviceSampling sampling;
  private final MemoryPlan memory;
  private final StageClock clock = new StageClock(System::nanoTime);
  private final Map<StepSize, Activations> yielded = new HashMap<>();
  private final ArrayDeque<Mark> unfinished = new ArrayDeque<>();

  /**
   * Loads the rank's share of the model and allocates everything a step needs. Weights, device and
   * arena must outlive the rank.
   *
   * @param kvBlocks of every rank
   * @param arena for host memory
   * @throws io.flotilla.checkpoint.CheckpointException when the model cannot be served
   * @throws IllegalArgumentException when it cannot be shared between the ranks
   */
  Rank(
      ExecutorOptions options,
      ModelConfig config,
      WeightSource weights,
      RankPlace place,
      int kvBlocks,
      Device device,
      Arena arena) {
    this.place = place;
    this.device = device;
    this.stream = device.openStream();
    ModelLimits limits =
        new ModelLimits(
            place.slice(),
            options.maxModelLength(),
            options.maxBatchedTokens(),
            StepScoring.rowsAtOnce(options, config.vocabularySize(), device));
    ShardLoader loader =
        new ShardLoader(
            weights, device, stream, place.ranks(), options.topology().expertParallel());
    this.model = Architectures.load(config, loader, limits);
    List<KvCache> allocated = new ArrayList<>();
    for (int layer = 0; layer < place.slice().layers(); layer++) {
      KvCache cache = device.allocateKvCache(model.attention(), kvBlocks, options.blockSize());
      allocated.add(cache.share(place.ranks().keys().rank(), place.ranks().keys().size()));
    }
    this.caches = List.copyOf(allocated);
    this.slots = new Slot[options.maxSequences()];
    for (int slot = 0; slot < slots.length; slot++) {
      slots[slot] = new Slot();
    }
    RowSplit split = new RowSplit(place.ranks().context().size());
    this.batch = new StepBatch(device, arena, options, split, place.ranks().context().rank());
    this.link = new StageLink(place, device, options.maxBatchedTokens(), config.hiddenSize());
    this.sampleReturn =
        new SampleReturn(place, device, arena, options.maxSequences(), options.stepsInFlight());
    this.scoring =
        place.isLastStage()
            ? new StepScoring(
                model,
                place.ranks(),
                split,
                config.hiddenSize(),
                device,
                stream,
                arena,
                options,
                scored)
            : null;
    this.sampling = sampling(options, split, config.hiddenSize(), limits.maxLogitRows(), arena);
    this.memory =
        new MemoryPlan(
            loader.mappedBytes(),
            model.footprint(),
            batch.bytes()
                + link.bytes()
                + sampleReturn.bytes()
                + (scoring == null ? 0 : scoring.bytes())
                + (sampling == null ? 0 : sampling.bytes()),
            place.slice().layers() * device.kvBlockBytes(model.attention(), options.blockSize()),
            kvBlocks,
            options);
  }

  /** Sampling on the device, where it can and the stage has logits. */
  private @Nullable DeviceSampling sampling(
      ExecutorOptions options, RowSplit split, int hiddenSize, int logitRows, Arena arena) {
    Optional<TokenSampling> found = device.sampling();
    if (found.isEmpty() || !place.isLastStage()) {
      return null;
    }
    Collectives context = place.ranks().context();
    CollectedActivations collected =
        new CollectedActivations(
            context, split, device, stream, arena, options.maxSequences(), hiddenSize);
    WholeLogits logits = new WholeLogits(model, place.ranks().all(), device, stream, logitRows);
    return new DeviceSampling(
        logits, collected, split, context.rank(), found.get(), device, stream, arena, options);
  }

  MemoryPlan memory() {
    return memory;
  }

  /** Grows while a step makes progress, on the device or in sampling. Readable from any thread. */
  long progress() {
    return device.progress() + scored.get();
  }

  /** Whether it waits for another rank. Readable from any thread. */
  boolean isWaiting() {
    return place.ranks().isWaiting() || place.pipeline().isWaiting();
  }

  /** Nanoseconds it has computed so far. Readable from any thread. */
  long busyNanos() {
    return clock.nanos();
  }

  /** No step runs any more. */
  void rest() {
    clock.stop();
  }

  /** Starts a step; where the device samples, it goes on when this returns. */
  PendingStep launch(StepPlan plan) {
    clock.start();
    if (plan.sequences().isEmpty()) {
      return done(new StepResult(plan.step(), List.of(), List.of()));
    }
    for (SequenceStep sequence : plan.sequences()) {
      prepare(sequence);
    }
    boolean expectsSamples = place.isFirstStage() && !place.isLastStage();
    if (expectsSamples) {
      clock.stop();
      sampleReturn.awaitNeeded(stream, plan, slots);
      clock.start();
    }
    awaitRoom();
    StepBatch.Uploaded rows = batch.upload(stream, plan.sequences(), slots);
    Activations activations = forward(input(plan, rows), rows);
    if (expectsSamples) {
      sampleReturn.expect(plan, slots);
    }
    PendingStep step = place.isLastStage() ? sample(plan, activations) : pass(activations);
    unfinished.add(stream.mark());
    return step;
  }

  private StageInput input(StepPlan plan, StepBatch.Uploaded rows) {
    if (!place.isFirstStage()) {
      return receive(rows.rows().own().rows());
    }
    if (sampling != null) {
      sampling.takeLast(plan, slots, rows.ids());
    }
    return new Ids(rows.ids());
  }

  private PendingStep pass(Activations activations) {
    link.send(stream, activations);
    return PendingStep.done(null);
  }

  /** Samples on the device what it can, on the host what it cannot. */
  private PendingStep sample(StepPlan plan, Activations activations) {
    StepScoring byHost = Objects.requireNonNull(scoring);
    DeviceSampling byDevice = sampling;
    if (byDevice == null) {
      StepResult result = byHost.score(plan, slots, activations, _ -> true);
      sampleReturn.send(stream, result.samples());
      return done(result);
    }
    PendingStep sampled = byDevice.sample(plan, slots, activations);
    boolean wholly =
        plan.sequences().stream()
            .allMatch(step -> DeviceChoices.canChoose(slots[step.slot()].sampling()));
    if (wholly) {
      sampleReturn.send(stream, byDevice.sampled());
      return answer(sampled);
    }
    StepResult scored =
        byHost.score(plan, slots, activations, slot -> !DeviceChoices.canChoose(slot.sampling()));
    PendingStep joined = sampled.with(plan, scored);
    if (place.isFirstStage()) {
      return answer(joined);
    }
    StepResult result = joined.await();
    sampleReturn.send(stream, result.samples());
    return done(result);
  }

  private PendingStep done(StepResult result) {
    return answer(PendingStep.done(result));
  }

  private PendingStep answer(PendingStep step) {
    return place.answers() ? step : step.unanswered();
  }

  private Activations forward(StageInput input, StepBatch.Uploaded rows) {
    if (!rows.repeats() || !place.ranks().canRepeat()) {
      return model.forward(stream, input, rows.rows(), caches);
    }
    AttentionBatch attention = rows.rows().own();
    StepSize key =
        new StepSize(
            attention.rows(),
            attention.sequences(),
            attention.prompts(),
            attention.blockTables().columns());
    stream.repeat(key, () -> yielded.put(key, model.forward(stream, input, rows.rows(), caches)));
    return Objects.requireNonNull(yielded.get(key));
  }

  /** What tells one step that is recorded from another: all else is in the same device memory. */
  private record StepSize(int rows, int sequences, int prompts, int columns) {}

  /**
   * Waits until what the next step writes is no longer read: nothing else holds the host back in a
   * step that samples nothing.
   */
  private void awaitRoom() {
    while (unfinished.size() >= StagedBytes.COPIES) {
      unfinished.remove().await();
    }
  }

  private Activations receive(int rows) {
    clock.stop();
    Activations received = link.receive(stream, rows);
    clock.start();
    return received;
  }

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
    long room = (long) slot.blockCount() * memory.options().tokensPerBlock();
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
