package io.flotilla.fleet.remote;

import io.flotilla.engine.EngineLimits;
import io.flotilla.executor.Executor;
import io.flotilla.executor.StepPlan;
import io.flotilla.executor.StepPlan.SequenceStep;
import io.flotilla.executor.StepResult;
import io.flotilla.executor.StepResult.Sample;
import io.flotilla.executor.Topology;
import io.flotilla.fleet.LocalEngineClient;
import io.flotilla.fleet.remote.ReplicaHost.LoadedReplica;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** A replica's process without a model: counts, a token a millisecond. */
final class FakeReplica {
  /** What it is to do. */
  enum Behaviour {
    SERVE,
    EXIT_AT_ONCE,
    REFUSE_TO_LOAD,
    FAIL_AT_STEP_20
  }

  static final int MAX_LENGTH = 100_000;

  private FakeReplica() {}

  /** A command line that ends in {@link #main}, on the class path, whatever this JVM runs on. */
  static List<String> command(Behaviour behaviour) {
    String folder = System.getProperty("flotilla.root") + "/fleet/target/";
    List<String> path = new ArrayList<>(List.of(folder + "classes", folder + "test-classes"));
    Stream.of("jdk.module.path", "java.class.path", "surefire.test.class.path")
        .map(System::getProperty)
        .filter(entry -> entry != null && !entry.isEmpty())
        .forEach(path::add);
    return List.of(
        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-cp",
        String.join(":", path),
        FakeReplica.class.getName(),
        behaviour.name());
  }

  public static void main(String[] args) throws IOException, InterruptedException {
    Behaviour behaviour = Behaviour.valueOf(args[0]);
    if (behaviour == Behaviour.EXIT_AT_ONCE) {
      System.exit(3);
    }
    ReplicaHost host = ReplicaHost.connect(System.in, () -> Runtime.getRuntime().halt(1));
    boolean drained =
        host.run(
            (listener, progress) -> {
              if (behaviour == Behaviour.REFUSE_TO_LOAD) {
                throw new IllegalArgumentException("there is no tensor");
              }
              progress.onWeights(50, 100);
              EngineLimits limits = new EngineLimits(MAX_LENGTH, 4, 64, 4, true);
              Executor executor = new CountingExecutor(behaviour == Behaviour.FAIL_AT_STEP_20);
              return new LoadedReplica(
                  LocalEngineClient.start(executor, limits, listener), MAX_LENGTH);
            });
    Runtime.getRuntime().halt(drained ? 0 : 1);
  }

  /** Samples the position of each token. */
  private record CountingExecutor(boolean fails) implements Executor {
    @Override
    public CompletableFuture<StepResult> submit(StepPlan plan) {
      if (fails && plan.step() >= 20) {
        return CompletableFuture.failedFuture(
            new IllegalStateException("rank 0 has lost its device"));
      }
      try {
        Thread.sleep(1);
      } catch (InterruptedException e) {
        throw new IllegalStateException(e);
      }
      List<Sample> samples = new ArrayList<>();
      for (SequenceStep share : plan.sequences()) {
        if (share.sample()) {
          int token = share.computed() + share.tokens().count();
          samples.add(new Sample(share.slot(), token, null));
        }
      }
      return CompletableFuture.completedFuture(
          new StepResult(plan.step(), samples, Collections.emptyList()));
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
      return 1;
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
