package io.flotilla.executor;

import io.flotilla.executor.CollectedActivations.Collected;
import io.flotilla.executor.RowSplit.Run;
import io.flotilla.executor.StepPlan.Admission;
import io.flotilla.executor.StepPlan.SequenceStep;
import io.flotilla.executor.StepPlan.TokenInput.PreviousSample;
import io.flotilla.executor.StepResult.Sample;
import io.flotilla.kernels.Buffer;
import io.flotilla.kernels.Device;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import io.flotilla.kernels.TensorType;
import io.flotilla.kernels.TokenChoice;
import io.flotilla.kernels.TokenSampling;
import io.flotilla.model.StageInput.Activations;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;

/**
 * Samples on the device, so that the next step starts before the host has seen this one's tokens.
 * Ranks that share a stage all choose, from the same logits, and so the same. A sequence is sampled
 * here for all its life, or by the host for all of it, as {@link DeviceChoices#canChoose} says:
 * whoever samples it counts its tokens.
 */
final class DeviceSampling {
  private static final int UNKNOWN_TO_DEVICE = -1;
  private static final int REPORT_COLUMNS = 2 + 2 * TokenSampling.MOST_LIKELIEST;

  private final WholeLogits logits;
  private final Stream stream;
  private final TokenSampling sampling;
  private final CollectedActivations collected;
  private final RowSplit split;
  private final int rank;
  private final StagedIntegers sources;
  private final DeviceChoices choices;
  private final Tensor samples;
  private final Tensor reports;
  private final TokenSampling.Sequences sequences;
  private final List<MemorySegment> sampleResults = new ArrayList<>();
  private final List<MemorySegment> reportResults = new ArrayList<>();
  private int next;
  private int sampled;

  /**
   * @param collected rows of the step, as many as there are sequences at most
   * @param split of a step's rows
   * @param rank whose rows those are that the next step computes
   */
  DeviceSampling(
      WholeLogits logits,
      CollectedActivations collected,
      RowSplit split,
      int rank,
      TokenSampling sampling,
      Device device,
      Stream stream,
      Arena arena,
      ExecutorOptions options) {
    int slots = options.maxSequences();
    this.logits = logits;
    this.collected = collected;
    this.split = split;
    this.rank = rank;
    this.stream = stream;
    this.sampling = sampling;
    this.sources = new StagedIntegers(device, arena, options.maxBatchedTokens());
    this.choices = new DeviceChoices(sampling, device, arena, slots);
    this.samples = Tensor.allocate(device, TensorType.I32, 1, slots);
    this.reports = Tensor.allocate(device, TensorType.I32, slots, REPORT_COLUMNS);
    this.sequences =
        new TokenSampling.Sequences(
            Tensor.allocate(device, TensorType.I32, 1, slots),
            Tensor.allocate(device, TensorType.I32, slots, options.maxModelLength()));
    for (int i = 0; i < StagedBytes.COPIES; i++) {
      sampleResults.add(device.allocateHost(arena, samples.buffer().bytes()));
      reportResults.add(device.allocateHost(arena, reports.buffer().bytes()));
    }
  }

  /** Bytes on host and device. */
  long bytes() {
    return logits.bytes()
        + collected.bytes()
        + sources.bytes()
        + choices.bytes()
        + (1 + StagedBytes.COPIES) * (samples.buffer().bytes() + reports.buffer().bytes())
        + sequences.last().buffer().bytes()
        + sequences.histories().buffer().bytes();
  }

  /** Replaces the ids, among those of this rank's rows, of tokens that only the device has seen. */
  void takeLast(StepPlan plan, Slot[] slots, Tensor ids) {
    int row = 0;
    boolean any = false;
    for (Run run : split.runs(rank)) {
      SequenceStep sequence = plan.sequences().get(run.sequence());
      boolean unseen =
          sequence.tokens() instanceof PreviousSample && slots[sequence.slot()].isSampleOnDevice();
      any |= unseen;
      for (int i = 0; i < run.count(); i++) {
        sources.set(row++, unseen ? sequence.slot() : UNKNOWN_TO_DEVICE);
      }
    }
    if (any) {
      Tensor from = sources.upload(stream, 1, row);
      sampling.takeLast(stream, ids.sliceColumns(0, row), from, sequences.last());
    }
  }

  /** Starts to sample what the device can, and to bring the tokens to the host. */
  PendingStep sample(StepPlan plan, Slot[] slots, Activations activations) {
    List<MemorySegment> uploads = uploadHistories(plan, slots);
    choices.begin();
    List<Chosen> chosen = new ArrayList<>();
    int firstRow = 0;
    for (SequenceStep sequence : plan.sequences()) {
      firstRow += sequence.tokens().count();
      Slot slot = slots[sequence.slot()];
      if (sequence.sample() && DeviceChoices.canChoose(slot.sampling())) {
        choices.add(slot, sequence.slot());
        slot.sampledOnDevice();
        chosen.add(new Chosen(sequence.slot(), firstRow - 1, slot.sampling().logprobs()));
      }
    }
    sampled = chosen.size();
    int turn = next++ % StagedBytes.COPIES;
    MemorySegment tokens = sampleResults.get(turn);
    MemorySegment scores = reportResults.get(turn);
    if (!chosen.isEmpty()) {
      launch(activations, chosen);
      download(samples, chosen.size(), tokens);
    }
    if (chosen.stream().anyMatch(Chosen::isReported)) {
      download(reports, chosen.size() * REPORT_COLUMNS, scores);
    }
    return new PendingStep(
        stream.mark(),
        () -> {
          // Until here the device may have read what was uploaded.
          uploads.clear();
          return result(plan.step(), chosen, tokens, scores);
        });
  }

  /** The tokens of the last step, I32 {@code [1, n]} in its order: until the next is sampled. */
  Tensor sampled() {
    return samples.sliceColumns(0, sampled);
  }

  /** A sequence that was sampled, its row, and the likeliest tokens that it wants to know. */
  private record Chosen(int slot, int row, int likeliest) {
    boolean isReported() {
      return likeliest >= 0;
    }
  }

  /** Brings the tokens of newly admitted sequences whose tokens are counted. */
  private List<MemorySegment> uploadHistories(StepPlan plan, Slot[] slots) {
    List<MemorySegment> uploads = new ArrayList<>();
    for (SequenceStep sequence : plan.sequences()) {
      Admission admission = sequence.admission();
      Slot slot = slots[sequence.slot()];
      if (admission == null || !slot.isCounting() || !DeviceChoices.canChoose(slot.sampling())) {
        continue;
      }
      MemorySegment history =
          Arena.ofAuto().allocateFrom(ValueLayout.JAVA_INT, admission.history());
      Tensor row = sequences.histories().sliceRows(sequence.slot(), 1);
      stream.upload(history, row.buffer().slice(0, history.byteSize()));
      uploads.add(history);
    }
    return uploads;
  }

  private void launch(Activations activations, List<Chosen> chosen) {
    int count = chosen.size();
    int[] chosenRows = chosen.stream().mapToInt(Chosen::row).toArray();
    Collected all = collected.collect(activations, chosenRows);
    Buffer described = choices.uploadRows(stream);
    Buffer edits = choices.uploadEdits(stream);
    long rowBytes = sampling.rowBytes();
    for (int from = 0; from < count; from += logits.rows()) {
      int size = Math.min(logits.rows(), count - from);
      Tensor whole = logits.compute(all.activations(), all.rows().sliceColumns(from, size));
      sampling.sample(
          stream,
          new TokenSampling.Rows(
              whole,
              described.slice(from * rowBytes, size * rowBytes),
              edits,
              choices.any(TokenChoice::adjusts),
              choices.any(TokenChoice::sorts)),
          sequences,
          new TokenSampling.Choices(
              samples.sliceColumns(from, size), reports.sliceRows(from, size)));
    }
  }

  private void download(Tensor from, int integers, MemorySegment to) {
    long bytes = (long) integers * Integer.BYTES;
    stream.download(from.buffer().slice(0, bytes), to.asSlice(0, bytes));
  }

  private static StepResult result(
      long step, List<Chosen> chosen, MemorySegment tokens, MemorySegment reports) {
    List<Sample> results = new ArrayList<>();
    for (int i = 0; i < chosen.size(); i++) {
      Chosen from = chosen.get(i);
      int token = tokens.getAtIndex(ValueLayout.JAVA_INT, i);
      if (token < 0) {
        results.add(new Sample(from.slot, Sample.INVALID, null));
      } else if (from.isReported()) {
        long bytes = (long) REPORT_COLUMNS * Integer.BYTES;
        MemorySegment report = reports.asSlice(i * bytes, bytes);
        results.add(
            new Sample(from.slot, token, DeviceChoices.report(report, token, from.likeliest)));
      } else {
        results.add(new Sample(from.slot, token, null));
      }
    }
    return new StepResult(step, results, List.of());
  }
}
