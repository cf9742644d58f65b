package io.flotilla.executor;

import io.flotilla.executor.StepPlan.SequenceStep;
import io.flotilla.executor.StepPlan.TokenInput.PreviousSample;
import io.flotilla.executor.StepResult.Sample;
import io.flotilla.kernels.Buffer;
import io.flotilla.kernels.Collectives;
import io.flotilla.kernels.Device;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;

/**
 * Brings sampled tokens from the last stage of a pipeline to the first, which computes on them. The
 * first takes those of a step when it needs them, and not before: with as many micro-batches as
 * stages they have come by then.
 */
final class SampleReturn {
  private final RankPlace place;
  private final Collectives pipeline;
  private final int messages;
  private final MemorySegment host;
  private final Buffer device;
  private final ArrayDeque<List<Expected>> expected = new ArrayDeque<>();

  /** A sample of a sequence, which may have left its slot by the time the sample comes. */
  private record Expected(Slot slot, int admission) {}

  /**
   * @param messages that may be on their way
   */
  SampleReturn(RankPlace place, Device device, Arena arena, int sequences, int messages) {
    this.place = place;
    this.pipeline = place.pipeline();
    this.messages = messages;
    this.host = arena.allocate(ValueLayout.JAVA_INT, sequences);
    this.device = device.allocate(host.byteSize());
  }

  /** Bytes on host and device. */
  long bytes() {
    return 2 * host.byteSize();
  }

  /** On the last stage of several: sends what a step sampled. */
  void send(Stream stream, List<Sample> samples) {
    if (place.isFirstStage() || samples.isEmpty()) {
      return;
    }
    for (int i = 0; i < samples.size(); i++) {
      host.setAtIndex(ValueLayout.JAVA_INT, i, samples.get(i).token());
    }
    Buffer used = device.slice(0, (long) samples.size() * Integer.BYTES);
    stream.upload(host.asSlice(0, used.bytes()), used);
    pipeline.send(stream, used, 0);
  }

  /**
   * The same, of tokens that only the device knows.
   *
   * @param samples I32, those of a step in its order
   */
  void send(Stream stream, Tensor samples) {
    if (!place.isFirstStage() && samples.columns() > 0) {
      pipeline.send(stream, samples.buffer(), 0);
    }
  }

  /** On the first stage, before a step: waits for the samples that it computes on. */
  void awaitNeeded(Stream stream, StepPlan plan, Slot[] slots) {
    while (expected.size() >= messages) {
      receive(stream);
    }
    for (SequenceStep sequence : plan.sequences()) {
      if (sequence.tokens() instanceof PreviousSample) {
        while (slots[sequence.slot()].isSampleAwaited()) {
          receive(stream);
        }
      }
    }
  }

  /** On the first stage, after a step: the last stage will send what it samples. */
  void expect(StepPlan plan, Slot[] slots) {
    List<Expected> samples = new ArrayList<>();
    for (SequenceStep sequence : plan.sequences()) {
      if (sequence.sample()) {
        Slot slot = slots[sequence.slot()];
        slot.awaitSample();
        samples.add(new Expected(slot, slot.admissions()));
      }
    }
    if (!samples.isEmpty()) {
      expected.add(samples);
    }
  }

  private void receive(Stream stream) {
    List<Expected> samples = expected.remove();
    Buffer used = device.slice(0, (long) samples.size() * Integer.BYTES);
    pipeline.receive(stream, used, place.stages() - 1);
    stream.download(used, host.asSlice(0, used.bytes()));
    stream.synchronize();
    for (int i = 0; i < samples.size(); i++) {
      Expected sample = samples.get(i);
      if (sample.admission() == sample.slot().admissions()) {
        sample.slot().receiveSample(host.getAtIndex(ValueLayout.JAVA_INT, i));
      }
    }
  }
}
