package io.flotilla.engine;

import io.flotilla.engine.EngineCommand.Submit;
import io.flotilla.engine.TokenEvent.Finished;
import io.flotilla.executor.Executor;
import io.flotilla.executor.StepPlan;
import io.flotilla.executor.StepPlan.SequenceStep;
import io.flotilla.executor.StepResult;
import io.flotilla.executor.StepResult.Sample;
import io.flotilla.executor.Topology;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * The host's time for a step: 256 sequences decode, and one that ends makes place for another, on
 * ranks that take no time. Their making of a result is within the measured time.
 */
@State(Scope.Thread)
@BenchmarkMode(Mode.SampleTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 3, time = 3)
@Measurement(iterations = 5, time = 3)
@Fork(1)
public class EngineStepBenchmark {
  private static final int SEQUENCES = 256;
  private static final int PROMPT = 128;
  private static final int MOST_TOKENS = 1024;
  private static final int BLOCK_SIZE = 16;

  @Param({"1", "2"})
  private int stepsInFlight;

  private final Random random;

  @SuppressWarnings("NullAway.Init")
  private Engine engine;

  private long submitted;
  private long tokens;

  /** Made by JMH. */
  public EngineStepBenchmark() {
    random = new Random(1);
  }

  /** Starts all sequences. */
  @Setup
  public void start() {
    int blocks = SEQUENCES * (PROMPT + MOST_TOKENS) / BLOCK_SIZE + SEQUENCES;
    EngineLimits limits = new EngineLimits(PROMPT + MOST_TOKENS, SEQUENCES, 2048, SEQUENCES, true);
    engine = new Engine(new InstantExecutor(blocks, stepsInFlight), limits, EngineListener.NONE);
    for (int i = 0; i < SEQUENCES; i++) {
      submit();
    }
    while (engine.statistics().running() < SEQUENCES) {
      engine.step();
    }
  }

  private void submit() {
    int[] prompt = random.ints(PROMPT, 0, 32_000).toArray();
    int maxTokens = random.nextInt(MOST_TOKENS / 2, MOST_TOKENS);
    engine.send(
        new Submit(
            submitted++, prompt, new int[0], Submits.greedy(), maxTokens, "", this::received));
  }

  private void received(TokenEvent event) {
    tokens++;
    if (event instanceof Finished) {
      submit();
    }
  }

  /** One turn of the engine. */
  @Benchmark
  public long step() {
    engine.step();
    return tokens;
  }

  /** The sequences must have run all along. */
  @TearDown
  public void check() {
    EngineStatistics statistics = engine.statistics();
    if (statistics.running() < SEQUENCES - 8
        || statistics.generatedTokens() < (SEQUENCES - 8) * (statistics.steps() - 64)) {
      throw new IllegalStateException("the engine did not decode: " + statistics);
    }
    engine.checkInvariants();
  }

  private record InstantExecutor(int kvBlocks, int maxStepsInFlight) implements Executor {
    @Override
    public CompletableFuture<StepResult> submit(StepPlan plan) {
      List<Sample> samples = new ArrayList<>(plan.sequences().size());
      for (SequenceStep share : plan.sequences()) {
        if (share.sample()) {
          int token = (int) ((plan.step() * 31 + share.slot()) % 32_000);
          samples.add(new Sample(share.slot(), token, null));
        }
      }
      return CompletableFuture.completedFuture(new StepResult(plan.step(), samples, List.of()));
    }

    @Override
    public Topology topology() {
      return Topology.SINGLE;
    }

    @Override
    public int blockSize() {
      return BLOCK_SIZE;
    }

    @Override
    public int maxSequences() {
      return SEQUENCES;
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
}
