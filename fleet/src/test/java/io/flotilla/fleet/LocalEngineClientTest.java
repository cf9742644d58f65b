package io.flotilla.fleet;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.flotilla.engine.EngineCommand.Submit;
import io.flotilla.engine.EngineLimits;
import io.flotilla.engine.EngineListener;
import io.flotilla.engine.TokenEvent;
import io.flotilla.engine.TokenEvent.Failed;
import io.flotilla.engine.TokenEvent.FailureCode;
import io.flotilla.engine.TokenEvent.FinishReason;
import io.flotilla.engine.TokenEvent.Finished;
import io.flotilla.engine.TokenEvent.Token;
import io.flotilla.executor.StepPlan.SequenceStep;
import io.flotilla.model.sampling.SamplingParameters;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(20)
class LocalEngineClientTest {
  private final ConstantExecutor executor = new ConstantExecutor();
  private final BlockingQueue<TokenEvent> events = new LinkedBlockingQueue<>();

  @Test
  void servesASequence() throws InterruptedException {
    try (EngineClient client = start(4)) {
      client.submit(submit(1, 3));
      for (int index = 0; index < 3; index++) {
        assertThat(events.take()).isEqualTo(new Token(1, index, ConstantExecutor.TOKEN, null));
      }
      assertThat(events.take()).isEqualTo(new Finished(1, FinishReason.LENGTH, 2, 0, 3));
      assertThat(client.status().isServing()).isTrue();
    }
  }

  @Test
  void abortsASequence() throws InterruptedException {
    try (EngineClient client = start(4)) {
      client.submit(submit(1, 1_000_000));
      events.take();
      client.abort(1);
      TokenEvent last = events.take();
      while (last instanceof Token) {
        last = events.take();
      }
      assertThat(last)
          .isInstanceOfSatisfying(
              Finished.class,
              finished -> assertThat(finished.reason()).isEqualTo(FinishReason.ABORT));
    }
  }

  @Test
  void closesItsExecutorWhenItIsDrained() {
    try (EngineClient client = start(4)) {
      client.submit(submit(1, 2));
      client.drain();
      executor.awaitClose();
      assertThat(client.status().drained()).isTrue();
      assertThat(client.status().isServing()).isFalse();
      assertThat(events).hasSize(3);
    }
  }

  @Test
  void closeFailsWhatLivesAndClosesItsExecutor() throws InterruptedException {
    try (EngineClient client = start(4)) {
      client.submit(submit(1, 1_000_000));
      events.take();
    }
    executor.awaitClose();
    assertThat(List.copyOf(events).getLast())
        .isInstanceOfSatisfying(
            Failed.class,
            failed -> assertThat(failed.code()).isEqualTo(FailureCode.REPLICA_FAILED));
  }

  @Test
  void closesItsExecutorWhenTheLimitsDoNotFit() {
    assertThatThrownBy(() -> start(5)).isInstanceOf(IllegalArgumentException.class);
    executor.awaitClose();
  }

  private EngineClient start(int maxSequences) {
    EngineLimits limits = new EngineLimits(1 << 20, maxSequences, 64, 4, true);
    return LocalEngineClient.start(executor, limits, EngineListener.NONE);
  }

  private Submit submit(long id, int maxTokens) {
    int[] prompt = {1, 2};
    return new Submit(
        id, prompt, new int[0], SamplingParameters.greedy(), maxTokens, "", events::add);
  }

  /** Samples one token for ever. */
  private static final class ConstantExecutor extends FakeExecutor {
    private static final int TOKEN = 7;

    private final CompletableFuture<Boolean> closed = new CompletableFuture<>();

    ConstantExecutor() {
      super(2);
    }

    void awaitClose() {
      closed.join();
    }

    @Override
    protected int sample(SequenceStep share) {
      return TOKEN;
    }

    @Override
    public void close() {
      closed.complete(true);
    }
  }
}
