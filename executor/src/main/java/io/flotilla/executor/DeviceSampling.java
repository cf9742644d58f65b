package io.flotilla.executor;

import io.flotilla.executor.StepPlan.SequenceStep;
import io.flotilla.executor.StepPlan.TokenInput.PreviousSample;
import io.flotilla.executor.StepResult.Sample;
import io.flotilla.kernels.Buffer;
import io.flotilla.kernels.Device;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import io.flotilla.kernels.TensorType;
import io.flotilla.kernels.TokenSampling;
import io.flotilla.model.CausalLm;
import io.flotilla.model.StageInput.Activations;
import io.flotilla.model.sampling.Sampler;
import io.flotilla.model.sampling.SamplingParameters;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;

/**
 * Samples on the device, so that the next step starts before the host has seen this one's tokens. A
 * step takes this way when all its samples are plain; else the host samples all of them.
 */
final class DeviceSampling {
  private static final int UNKNOWN_TO_DEVICE = -1;

  private final CausalLm model;
  private final Stream stream;
  private final TokenSampling sampling;
  private final int chunk;
  private final StagedIntegers rows;
  private final StagedIntegers sources;
  private final StagedBytes descriptions;
  private final Tensor samples;
  private final Tensor last;
  private final List<MemorySegment> results = new ArrayList<>();
  private int next;

  /**
   * @param chunk rows whose logits are held at once
   */
  DeviceSampling(
      CausalLm model,
      TokenSampling sampling,
      Device device,
      Stream stream,
      Arena arena,
      ExecutorOptions options,
      int chunk) {
    int slots = options.maxSequences();
    this.model = model;
    this.stream = stream;
    this.sampling = sampling;
    this.chunk = chunk;
    this.rows = new StagedIntegers(device, arena, slots);
    this.sources = new StagedIntegers(device, arena, options.maxBatchedTokens());
    this.descriptions = new StagedBytes(device, arena, slots * sampling.rowBytes());
    this.samples = Tensor.allocate(device, TensorType.I32, 1, slots);
    this.last = Tensor.allocate(device, TensorType.I32, 1, slots);
    for (int i = 0; i < StagedBytes.COPIES; i++) {
      results.add(device.allocateHost(arena, samples.buffer().bytes()));
    }
  }

  /** Whether the device can choose all tokens of a step. */
  static boolean canSample(StepPlan plan, Slot[] slots) {
    for (SequenceStep sequence : plan.sequences()) {
      Slot slot = slots[sequence.slot()];
      if (slot.scoredPrompt().length > 0) {
        return false;
      }
      if (sequence.sample() && !Sampler.isPlain(slot.sampling(), slot.nextIndex())) {
        return false;
      }
    }
    return true;
  }

  /** Replaces the ids of tokens that only the device has seen. */
  void takeLast(StepPlan plan, Slot[] slots, Tensor ids) {
    int row = 0;
    boolean any = false;
    for (SequenceStep sequence : plan.sequences()) {
      boolean unseen =
          sequence.tokens() instanceof PreviousSample && slots[sequence.slot()].isSampleOnDevice();
      any |= unseen;
      for (int i = 0; i < sequence.tokens().count(); i++) {
        sources.set(row++, unseen ? sequence.slot() : UNKNOWN_TO_DEVICE);
      }
    }
    if (any) {
      sampling.takeLast(stream, ids.sliceColumns(0, row), sources.upload(stream, 1, row), last);
    }
  }

  /** Starts to sample, and to bring the tokens to the host. */
  PendingStep sample(StepPlan plan, Slot[] slots, Activations activations) {
    List<Integer> sampled = new ArrayList<>();
    int firstRow = 0;
    for (SequenceStep sequence : plan.sequences()) {
      firstRow += sequence.tokens().count();
      if (sequence.sample()) {
        int task = sampled.size();
        Slot slot = slots[sequence.slot()];
        SamplingParameters parameters = slot.sampling();
        rows.set(task, firstRow - 1);
        sampling.describe(
            descriptions.host(),
            task,
            Sampler.noiseKey(parameters, slot.nextIndex()),
            parameters.temperature(),
            Sampler.leastValue(parameters),
            sequence.slot());
        slot.sampledOnDevice();
        sampled.add(sequence.slot());
      }
    }
    MemorySegment tokens = results.get(next++ % results.size());
    if (!sampled.isEmpty()) {
      launch(activations, sampled.size(), tokens);
    }
    return new PendingStep(stream.mark(), () -> result(plan.step(), sampled, tokens));
  }

  private void launch(Activations activations, int count, MemorySegment tokens) {
    Tensor allRows = rows.upload(stream, 1, count);
    long rowBytes = sampling.rowBytes();
    Buffer described = descriptions.upload(stream, count * rowBytes);
    for (int from = 0; from < count; from += chunk) {
      int size = Math.min(chunk, count - from);
      Tensor logits = model.logits(stream, activations, allRows.sliceColumns(from, size));
      Buffer part = described.slice(from * rowBytes, size * rowBytes);
      sampling.sample(stream, logits, part, samples.sliceColumns(from, size), last);
    }
    long bytes = (long) count * Integer.BYTES;
    stream.download(samples.buffer().slice(0, bytes), tokens.asSlice(0, bytes));
  }

  private static StepResult result(long step, List<Integer> sampled, MemorySegment tokens) {
    List<Sample> results = new ArrayList<>();
    for (int i = 0; i < sampled.size(); i++) {
      int token = tokens.getAtIndex(ValueLayout.JAVA_INT, i);
      results.add(new Sample(sampled.get(i), token < 0 ? Sample.INVALID : token, null));
    }
    return new StepResult(step, results, List.of());
  }
}
