package io.flotilla.fleet.remote;

import io.flotilla.engine.EngineLimits;
import io.flotilla.executor.Executor;
import io.flotilla.executor.StepPlan;
import io.flotilla.executor.StepPlan.SequenceStep;
import io.flotilla.executor.StepResult;
import io.flotilla.fleet.FakeExecutor;
import io.flotilla.fleet.LocalEngineClient;
import io.flotilla.fleet.remote.ReplicaHost.LoadedReplica;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Stream;

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
  private static final class CountingExecutor extends FakeExecutor {
    private final boolean fails;

    CountingExecutor(boolean fails) {
      super(1);
      this.fails = fails;
    }

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
      return super.submit(plan);
    }

    @Override
    protected int sample(SequenceStep share) {
      return share.computed() + share.tokens().count();
    }
  }
}
