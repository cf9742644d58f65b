package io.flotilla.fleet;

import io.flotilla.executor.Executor;
import io.flotilla.executor.StepPlan;
import io.flotilla.executor.StepPlan.SequenceStep;
import io.flotilla.executor.StepResult;
import io.flotilla.executor.StepResult.Sample;
import io.flotilla.executor.Topology;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.jspecify.annotations.Nullable;

/** A rank without a model, whose steps are done as soon as they are submitted. */
public abstract class FakeExecutor implements Executor {
  private final int stepsInFlight;

  protected FakeExecutor(int stepsInFlight) {
    this.stepsInFlight = stepsInFlight;
  }

  /** The token that a sequence yields. */
  protected abstract int sample(SequenceStep share);

  @Override
  public CompletableFuture<StepResult> submit(StepPlan plan) {
    List<Sample> samples = new ArrayList<>();
    for (SequenceStep share : plan.sequences()) {
      if (share.sample()) {
        samples.add(new Sample(share.slot(), sample(share), null));
      }
    }
    return CompletableFuture.completedFuture(new StepResult(plan.step(), samples, List.of()));
  }

  @Override
  public Topology topology() {
    return Topology.SINGLE;
  }

  @Override
  public int kvBlocks() {
    return 1 << 17;
  }

  @Override
  public int blockSize() {
    return 16;
  }

  @Override
  public int maxSequences() {
    return 4;
  }

  @Override
  public int maxStepsInFlight() {
    return stepsInFlight;
  }

  @Override
  public long progress() {
    return 0;
  }

  @Override
  public long[] busyNanos() {
    return new long[1];
  }

  @Override
  public @Nullable Throwable failure() {
    return null;
  }

  @Override
  public void close() {}
}
