package io.flotilla.fleet;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.flotilla.engine.EngineCommand.Submit;
import io.flotilla.engine.EngineStatistics;
import io.flotilla.engine.TokenEvent;
import io.flotilla.engine.TokenEvent.Failed;
import io.flotilla.engine.TokenEvent.FailureCode;
import io.flotilla.engine.TokenEvent.FinishReason;
import io.flotilla.engine.TokenEvent.Finished;
import io.flotilla.engine.TokenEvent.Token;
import io.flotilla.model.sampling.SamplingParameters;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

class RouterTest {
  private final FakeClient first = new FakeClient();
  private final FakeClient second = new FakeClient();
  private final Router router = new Router(List.of(first, second));
  private final List<TokenEvent> events = new ArrayList<>();

  @Test
  void givesASequenceToTheReplicaWithTheFewestOutstandingTokens() {
    submit(1, 10, 20);
    submit(2, 5, 10);
    submit(3, 5, 8);
    assertThat(first.ids()).containsExactly(1L);
    assertThat(second.ids()).containsExactly(2L, 3L);
    submit(4, 1, 1);
    assertThat(second.ids()).contains(4L);
  }

  @Test
  void countsThePromptOffWithTheFirstTokenAndEachTokenWithItself() {
    submit(1, 100, 10);
    submit(2, 5, 10);
    first.tell(0, new Token(1, 0, 50, null));
    // 9 tokens are left on the first, 15 on the second.
    submit(3, 2, 3);
    assertThat(first.ids()).containsExactly(1L, 3L);
    submit(4, 1, 1);
    assertThat(first.ids()).containsExactly(1L, 3L, 4L);
    submit(5, 1, 1);
    assertThat(second.ids()).containsExactly(2L, 5L);
  }

  @Test
  void countsOffWhatAnEndedSequenceDidNotUse() {
    submit(1, 10, 1000);
    submit(2, 10, 100);
    first.tell(0, new Token(1, 0, 50, null));
    first.tell(0, new Finished(1, FinishReason.STOP, 10, 0, 1));
    submit(3, 1, 1);
    assertThat(first.ids()).containsExactly(1L, 3L);
    assertThat(events).hasSize(2);
  }

  @Test
  void passesOverAReplicaThatFailedOrEnded() {
    first.failure = new IllegalStateException("rank 0 lost its device");
    submit(1, 10, 10);
    submit(2, 10, 10);
    assertThat(first.submits).isEmpty();
    assertThat(second.ids()).containsExactly(1L, 2L);
  }

  @Test
  void failsASequenceWithTheCauseWhenNoReplicaLives() {
    first.drained = true;
    second.failure = new IllegalStateException("rank 0 lost its device");
    submit(1, 10, 10);
    assertThat(events)
        .singleElement()
        .isInstanceOfSatisfying(
            Failed.class,
            failed -> {
              assertThat(failed.code()).isEqualTo(FailureCode.REPLICA_FAILED);
              assertThat(failed.message()).contains("rank 0 lost its device");
            });
  }

  @Test
  void refusesASequenceWhenAllReplicasAreDrained() {
    first.drained = true;
    second.drained = true;
    submit(1, 10, 10);
    assertThat(events)
        .containsExactly(new Failed(1, FailureCode.DRAINING, "no replica takes more work"));
  }

  @Test
  void abortsDrainsAndClosesEverywhere() {
    router.abort(5);
    router.drain();
    router.close();
    for (FakeClient client : List.of(first, second)) {
      assertThat(client.aborted).containsExactly(5L);
      assertThat(client.draining).isTrue();
      assertThat(client.closed).isTrue();
    }
  }

  @Test
  void needsAReplica() {
    assertThatThrownBy(() -> new Router(List.of()))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("a router needs at least one replica");
  }

  private void submit(long id, int prompt, int maxTokens) {
    router.submit(
        new Submit(
            id,
            new int[prompt],
            new int[0],
            SamplingParameters.greedy(),
            maxTokens,
            "",
            events::add));
  }

  private static final class FakeClient implements EngineClient {
    private final List<Submit> submits = new ArrayList<>();
    private final List<Long> aborted = new ArrayList<>();
    private @Nullable Throwable failure;
    private boolean drained;
    private boolean draining;
    private boolean closed;

    List<Long> ids() {
      return submits.stream().map(Submit::id).toList();
    }

    void tell(int index, TokenEvent event) {
      submits.get(index).sink().accept(event);
    }

    @Override
    public void submit(Submit submit) {
      submits.add(submit);
    }

    @Override
    public void abort(long id) {
      aborted.add(id);
    }

    @Override
    public void drain() {
      draining = true;
    }

    @Override
    public EngineStatus status() {
      return new EngineStatus(
          failure, drained, new EngineStatistics(0, 0, 0, 0, 0, 0, 0, 0, 0, List.of(), 0), 0);
    }

    @Override
    public void close() {
      closed = true;
    }
  }
}
