package io.flotilla.fleet.remote;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.flotilla.engine.EngineCommand.Submit;
import io.flotilla.engine.EngineListener;
import io.flotilla.engine.TokenEvent;
import io.flotilla.engine.TokenEvent.Failed;
import io.flotilla.engine.TokenEvent.FailureCode;
import io.flotilla.engine.TokenEvent.FinishReason;
import io.flotilla.engine.TokenEvent.Finished;
import io.flotilla.engine.TokenEvent.Token;
import io.flotilla.engine.TokenSink;
import io.flotilla.fleet.remote.FakeReplica.Behaviour;
import io.flotilla.model.sampling.SamplingParameters;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.BooleanSupplier;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** A client and a process of its own, which runs a real engine over a fake executor. */
@Timeout(60)
class RemoteEngineClientTest {
  private static final int ENDLESS = 90_000;

  private final BlockingQueue<TokenEvent> events = new LinkedBlockingQueue<>();
  private final BlockingQueue<Long> weights = new LinkedBlockingQueue<>();
  private final Counts counts = new Counts();

  private static final class Counts implements EngineListener {
    private final AtomicInteger tokens = new AtomicInteger();
    private final AtomicInteger sequences = new AtomicInteger();

    @Override
    public void stepApplied(int computed) {
      tokens.addAndGet(computed);
    }

    @Override
    public void sequenceEnded(SequenceTimes times) {
      sequences.incrementAndGet();
    }
  }

  @AfterEach
  void noProcessIsLeft() {
    await("the replica's process ends", () -> ProcessHandle.current().children().count() == 0);
  }

  @Test
  void servesAsALocalEngineDoes() throws InterruptedException {
    try (RemoteEngineClient client = start(Behaviour.SERVE)) {
      assertThat(client.awaitReady()).isEqualTo(FakeReplica.MAX_LENGTH);
      client.submit(submit(1, 3, events::add));
      for (int index = 0; index < 3; index++) {
        assertThat(next()).isEqualTo(new Token(1, index, 2 + index, null));
      }
      assertThat(next()).isEqualTo(new Finished(1, FinishReason.LENGTH, 2, 0, 3));
      assertThat(client.status().isServing()).isTrue();
      await("all is counted", () -> client.status().statistics().generatedTokens() == 3);
      assertThat(counts.tokens).hasValue(4);
      assertThat(counts.sequences).hasValue(1);
      assertThat(weights).containsExactly(50L);
    }
  }

  @Test
  void abortsASequence() throws InterruptedException {
    try (RemoteEngineClient client = start(Behaviour.SERVE)) {
      client.awaitReady();
      client.submit(submit(1, ENDLESS, events::add));
      next();
      client.abort(1);
      assertThat(last())
          .isInstanceOfSatisfying(
              Finished.class, end -> assertThat(end.reason()).isEqualTo(FinishReason.ABORT));
    }
  }

  @Test
  void aSinkThatThrowsEndsItsSequenceAlone() throws InterruptedException {
    try (RemoteEngineClient client = start(Behaviour.SERVE)) {
      client.awaitReady();
      client.submit(
          submit(
              1,
              ENDLESS,
              _ -> {
                throw new IllegalStateException("a broken sink");
              }));
      client.submit(submit(2, 200, events::add));
      assertThat(last()).isInstanceOf(Finished.class);
      await("the other is aborted", () -> client.status().statistics().running() == 0);
    }
  }

  @Test
  void aFullQueueRefusesAtOnce() throws InterruptedException {
    try (RemoteEngineClient client = start(Behaviour.SERVE)) {
      client.awaitReady();
      for (long id = 0; id < 8; id++) {
        client.submit(submit(id, ENDLESS, _ -> {}));
      }
      client.submit(submit(9, 1, events::add));
      assertThat(next())
          .isInstanceOfSatisfying(
              Failed.class, end -> assertThat(end.code()).isEqualTo(FailureCode.OVERLOADED));
    }
  }

  @Test
  void whatRanInAProcessThatIsKilledFailsWithTheCauseAndTheNextOneServes() throws Exception {
    try (RemoteEngineClient client = start(Behaviour.SERVE)) {
      client.awaitReady();
      client.submit(submit(1, ENDLESS, events::add));
      next();
      await("tokens are counted", () -> client.status().statistics().generatedTokens() > 5);
      ProcessHandle.current().children().forEach(ProcessHandle::destroyForcibly);
      assertThat(last())
          .isEqualTo(
              new Failed(
                  1,
                  FailureCode.REPLICA_FAILED,
                  "the replica's process ended with exit status 137, SIGKILL"));
      assertThat(client.status().isServing()).isFalse();
      assertThat(client.status().trouble()).contains("started again", "SIGKILL");
      assertThat(client.status().statistics().running()).isZero();
      long generated = client.status().statistics().generatedTokens();

      client.submit(submit(2, 3, events::add));
      assertThat(next())
          .isInstanceOfSatisfying(
              Failed.class, end -> assertThat(end.message()).contains("started again", "SIGKILL"));

      await("it serves again", () -> client.status().isServing());
      assertThat(client.status().restarts()).isEqualTo(1);
      client.submit(submit(3, 3, events::add));
      assertThat(last()).isEqualTo(new Finished(3, FinishReason.LENGTH, 2, 0, 3));
      await("counts go on", () -> client.status().statistics().generatedTokens() == generated + 3);
    }
  }

  @Test
  void whatRanInAReplicaThatFailsHearsItsOwnCause() throws InterruptedException {
    try (RemoteEngineClient client = start(Behaviour.FAIL_AT_STEP_20)) {
      client.awaitReady();
      client.submit(submit(1, ENDLESS, events::add));
      assertThat(last())
          .isEqualTo(new Failed(1, FailureCode.REPLICA_FAILED, "rank 0 has lost its device"));
      await("it is restarted", () -> client.status().restarts() == 1);
      await("it serves again", () -> client.status().isServing());
    }
  }

  @Test
  void aFirstStartThatFailsSaysWhy() {
    try (RemoteEngineClient client = start(Behaviour.REFUSE_TO_LOAD)) {
      assertThatThrownBy(client::awaitReady)
          .isInstanceOf(ReplicaLostException.class)
          .hasMessage("there is no tensor");
      assertThat(client.status().restarts()).isZero();
    }
  }

  @Test
  void aProcessThatEndsBeforeItIsHeardOfIsNamedByItsStatus() {
    try (RemoteEngineClient client = start(Behaviour.EXIT_AT_ONCE)) {
      assertThatThrownBy(client::awaitReady)
          .isInstanceOf(ReplicaLostException.class)
          .hasMessage("the replica's process ended with exit status 3 before it was heard of");
    }
  }

  @Test
  void aCommandThatDoesNotExistIsNamed() {
    try (RemoteEngineClient client =
        RemoteEngineClient.start(List.of("/no/such/program"), counts, (_, _) -> {})) {
      assertThatThrownBy(client::awaitReady)
          .isInstanceOf(ReplicaLostException.class)
          .hasMessageContaining("/no/such/program");
    }
  }

  @Test
  void drainingFinishesWhatRunsAndEndsTheProcess() throws InterruptedException {
    try (RemoteEngineClient client = start(Behaviour.SERVE)) {
      client.awaitReady();
      client.submit(submit(1, 300, events::add));
      next();
      client.drain();
      assertThat(last()).isEqualTo(new Finished(1, FinishReason.LENGTH, 2, 0, 300));
      await("it is drained", () -> client.status().drained());
      assertThat(client.status().failure()).isNull();
      assertThat(client.status().restarts()).isZero();
      assertThat(ProcessHandle.current().children()).isEmpty();
      client.submit(submit(2, 1, events::add));
      assertThat(next())
          .isInstanceOfSatisfying(
              Failed.class, end -> assertThat(end.code()).isEqualTo(FailureCode.DRAINING));
    }
  }

  @Test
  void closingFailsWhatLives() throws InterruptedException {
    try (RemoteEngineClient client = start(Behaviour.SERVE)) {
      client.awaitReady();
      client.submit(submit(1, ENDLESS, events::add));
      next();
    }
    assertThat(last())
        .isEqualTo(new Failed(1, FailureCode.REPLICA_FAILED, "the engine was closed"));
  }

  @Test
  void closingWhileItStartsTakesNoTime() {
    start(Behaviour.SERVE).close();
  }

  private RemoteEngineClient start(Behaviour behaviour) {
    return RemoteEngineClient.start(
        FakeReplica.command(behaviour), counts, (bytes, _) -> weights.add(bytes));
  }

  private static Submit submit(long id, int maxTokens, TokenSink sink) {
    int[] prompt = {1, 2};
    return new Submit(id, prompt, new int[0], SamplingParameters.greedy(), maxTokens, "", sink);
  }

  private TokenEvent next() throws InterruptedException {
    TokenEvent event = events.poll(30, TimeUnit.SECONDS);
    if (event == null) {
      throw new AssertionError("nothing is heard of the sequence");
    }
    return event;
  }

  private TokenEvent last() throws InterruptedException {
    TokenEvent event = next();
    while (event instanceof Token) {
      event = next();
    }
    return event;
  }

  private static void await(String what, BooleanSupplier condition) {
    long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
    while (!condition.getAsBoolean()) {
      if (System.nanoTime() > end) {
        throw new AssertionError("not within 30 s: " + what);
      }
      Thread.onSpinWait();
    }
  }
}
