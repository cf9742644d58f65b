package io.flotilla.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.flotilla.engine.EngineCommand.Abort;
import io.flotilla.engine.EngineCommand.Drain;
import io.flotilla.engine.TokenEvent.Failed;
import io.flotilla.engine.TokenEvent.FailureCode;
import io.flotilla.engine.TokenEvent.FinishReason;
import io.flotilla.engine.TokenEvent.Finished;
import io.flotilla.engine.TokenEvent.PromptScored;
import io.flotilla.engine.TokenEvent.Token;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(20)
class EngineTest {
  private static final int[] NOTHING = {};

  private final Recorder recorder = new Recorder();
  private final RecordingSink sink = new RecordingSink();
  private final int[] prompt = Submits.prompt(0, 10);
  private long now = 1000;
  private FakeExecutor executor = new FakeExecutor(20, 4, 4, 2);
  private Engine engine = engine(new EngineLimits(64, 4, 16, 2, true));

  @Test
  void generatesTheModelsTokensUpToTheirGreatestNumber() {
    engine.send(Submits.submit(7, prompt, 5, sink));
    finish();
    assertThat(sink.tokens()).isEqualTo(Submits.expected(prompt, Submits.greedy(), 5));
    assertThat(sink.last()).isEqualTo(new Finished(7, FinishReason.LENGTH, 10, 0, 5));
  }

  @Test
  void reportsAStopTokenAndEndsThere() {
    List<Integer> output = Submits.expected(prompt, Submits.greedy(), 5);
    engine.send(
        Submits.submit(
            7, prompt, NOTHING, Submits.sampling(0, List.of(output.get(2)), -1), 5, sink));
    finish();
    assertThat(sink.tokens()).isEqualTo(output.subList(0, 3));
    assertThat(sink.last()).isEqualTo(new Finished(7, FinishReason.STOP, 10, 0, 3));
    assertThat(engine.statistics().generatedTokens()).isEqualTo(3);
  }

  @Test
  void continuesAReplayedSequence() {
    List<Integer> output = Submits.expected(prompt, Submits.greedy(), 6);
    int[] generated = {output.get(0), output.get(1)};
    RecordingSink rest = new RecordingSink(2);
    engine.send(Submits.submit(7, prompt, generated, Submits.greedy(), 6, rest));
    finish();
    assertThat(rest.tokens()).isEqualTo(output.subList(2, 6));
    assertThat(rest.last()).isEqualTo(new Finished(7, FinishReason.LENGTH, 10, 0, 6));
  }

  @Test
  void finishesAReplayThatHasAllItsTokens() {
    int[] generated = {3, 4};
    engine.send(Submits.submit(7, prompt, generated, Submits.greedy(), 2, sink));
    engine.send(
        Submits.submit(
            8, prompt, generated, Submits.sampling(0, List.of(4), -1), 9, new RecordingSink()));
    finish();
    assertThat(sink.events()).containsExactly(new Finished(7, FinishReason.LENGTH, 10, 0, 2));
    assertThat(executor.plans()).isEmpty();
  }

  @Test
  void abortEndsASequenceAtTheNextStep() {
    engine.send(Submits.submit(7, prompt, 50, sink));
    engine.step();
    engine.step();
    engine.send(new Abort(7));
    finish();
    assertThat(sink.last()).isEqualTo(new Finished(7, FinishReason.ABORT, 10, 0, 1));
    assertThat(engine.statistics().kvUsage()).isZero();
  }

  @Test
  void ignoresAbortOfAnUnknownSequence() {
    engine.send(new Abort(99));
    engine.send(Submits.submit(7, prompt, 2, sink));
    finish();
    assertThat(sink.last()).isInstanceOf(Finished.class);
  }

  @Test
  void refusesAPromptThatLeavesNoRoomForOutput() {
    engine.send(Submits.submit(7, Submits.prompt(0, 64), 5, sink));
    finish();
    assertThat(sink.events())
        .containsExactly(
            new Failed(
                7,
                FailureCode.TOO_LONG,
                "the prompt has 64 tokens; prompt and output together may have 64"));
  }

  @Test
  void refusesAPromptThatDoesNotFitTheCache() {
    executor = new FakeExecutor(3, 4, 4, 2);
    engine = engine(new EngineLimits(64, 4, 16, 2, true));
    engine.send(Submits.submit(7, Submits.prompt(0, 12), 5, sink));
    finish();
    assertThat(failure(sink)).isEqualTo(FailureCode.TOO_LONG);
  }

  @Test
  void refusesMoreSequencesThanItMayHoldAndTakesSomeAgainWhenOthersEnd() {
    List<RecordingSink> sinks = new ArrayList<>();
    for (int i = 0; i < 7; i++) {
      sinks.add(new RecordingSink());
      engine.send(Submits.submit(i, prompt, 2, sinks.get(i)));
    }
    assertThat(failure(sinks.get(6))).isEqualTo(FailureCode.OVERLOADED);
    finish();
    assertThat(sinks.subList(0, 6)).allMatch(each -> each.last() instanceof Finished);
    engine.send(Submits.submit(9, prompt, 2, sink));
    finish();
    assertThat(sink.last()).isInstanceOf(Finished.class);
  }

  @Test
  void drainFinishesWhatItHasAndRefusesMore() {
    RecordingSink refused = new RecordingSink();
    RecordingSink late = new RecordingSink();
    engine.send(Submits.submit(7, prompt, 5, sink));
    engine.send(new Drain());
    engine.send(Submits.submit(8, prompt, 5, refused));
    engine.run();
    engine.send(Submits.submit(9, prompt, 5, late));
    assertThat(sink.tokens()).hasSize(5);
    assertThat(failure(refused)).isEqualTo(FailureCode.DRAINING);
    assertThat(failure(late)).isEqualTo(FailureCode.DRAINING);
    assertThat(engine.ended()).isTrue();
    assertThat(engine.failure()).isNull();
  }

  @Test
  void failureOfTheExecutorFailsEverySequenceAndLaterOnesWithTheFirstCause()
      throws InterruptedException {
    RecordingSink waiting = new RecordingSink();
    RecordingSink later = new RecordingSink();
    executor = new FakeExecutor(20, 4, 1, 2);
    engine = engine(new EngineLimits(64, 1, 16, 2, true));
    executor.failAtStep(3);
    engine.send(Submits.submit(7, prompt, 50, sink));
    engine.send(Submits.submit(8, prompt, 50, waiting));
    Thread thread = Thread.ofPlatform().start(engine);
    while (engine.failure() == null) {
      Thread.sleep(1);
    }
    engine.send(Submits.submit(9, prompt, 50, later));
    engine.send(new Drain());
    thread.join();
    for (RecordingSink each : List.of(sink, waiting, later)) {
      assertThat(failure(each)).isEqualTo(FailureCode.REPLICA_FAILED);
      assertThat(each.last().toString()).contains("rank 0 lost its device");
    }
    assertThat(engine.failure()).isSameAs(executor.failure());
  }

  @Test
  void failureOfTheExecutorIsHeardWithoutAStep() throws InterruptedException {
    Thread thread = Thread.ofPlatform().start(engine);
    executor.fail(new IllegalStateException("host 1 is gone"));
    long end = System.nanoTime() + Duration.ofSeconds(2).toNanos();
    while (engine.failure() == null && System.nanoTime() < end) {
      Thread.sleep(1);
    }
    assertThat(engine.failure()).hasMessage("host 1 is gone");
    engine.send(new Drain());
    thread.join();
  }

  @Test
  void invalidLogitsFailTheirSequenceAlone() {
    int[] other = Submits.prompt(500, 10);
    RecordingSink unharmed = new RecordingSink();
    executor.makeInvalid(Submits.expected(prompt, Submits.greedy(), 3).get(2));
    engine.send(Submits.submit(7, prompt, 5, sink));
    engine.send(Submits.submit(8, other, 5, unharmed));
    finish();
    assertThat(sink.tokens()).hasSize(2);
    assertThat(sink.last())
        .isEqualTo(
            new Failed(
                7, FailureCode.INVALID_LOGITS, "the model's logits for token 2 were not numbers"));
    assertThat(unharmed.tokens()).isEqualTo(Submits.expected(other, Submits.greedy(), 5));
  }

  @Test
  void sinkThatThrowsLosesItsSequenceAndHarmsNoOther() {
    List<TokenEvent> seen = new ArrayList<>();
    engine.send(
        Submits.submit(
            7,
            prompt,
            50,
            event -> {
              seen.add(event);
              throw new IllegalStateException("thrown on purpose");
            }));
    engine.send(Submits.submit(8, prompt, 5, sink));
    finish();
    assertThat(seen).hasSize(1);
    assertThat(sink.tokens()).hasSize(5);
    assertThat(engine.statistics().generatedTokens()).isLessThan(10);
  }

  @Test
  void scoresTheWholePromptBeforeTheFirstTokenWhateverIsCached() {
    engine.send(Submits.submit(1, prompt, 2, new RecordingSink()));
    finish();
    int[] longer = Submits.prompt(0, 30);
    engine.send(Submits.submit(7, longer, NOTHING, Submits.sampling(0, List.of(), 0), 2, sink));
    finish();
    assertThat(sink.events().getFirst())
        .isInstanceOfSatisfying(
            PromptScored.class, scored -> assertThat(scored.tokens()).hasSize(29));
    assertThat(sink.last()).isEqualTo(new Finished(7, FinishReason.LENGTH, 30, 0, 2));
  }

  @Test
  void tellsHowMuchOfAPromptWasCached() {
    engine.send(Submits.submit(1, prompt, 2, new RecordingSink()));
    finish();
    engine.send(Submits.submit(7, prompt, 2, sink));
    finish();
    assertThat(sink.last()).isEqualTo(new Finished(7, FinishReason.LENGTH, 10, 8, 2));
    assertThat(engine.statistics().prefixQueries()).isEqualTo(20);
    assertThat(engine.statistics().prefixHits()).isEqualTo(8);
  }

  @Test
  void tellsWhereTheTimeOfASequenceWent() {
    executor = new FakeExecutor(20, 4, 4, 1);
    engine = engine(new EngineLimits(64, 4, 5, 2, true));
    engine.send(Submits.submit(7, prompt, 3, sink));
    now += 50;
    engine.step();
    now += 7;
    engine.step();
    now += 30;
    engine.step();
    now += 4;
    engine.step();
    assertThat(sink.ended()).isTrue();
    assertThat(recorder.times).containsExactly(new EngineListener.SequenceTimes(50, 7, 34));
    assertThat(recorder.stepTokens).containsExactly(5, 5, 1, 1);
  }

  @Test
  void countsItsWork() {
    engine.send(Submits.submit(7, prompt, 3, sink));
    engine.step();
    assertThat(engine.statistics().running()).isEqualTo(1);
    assertThat(engine.statistics().kvUsage()).isEqualTo(3 / 20.0);
    finish();
    EngineStatistics statistics = engine.statistics();
    assertThat(statistics.running()).isZero();
    assertThat(statistics.promptTokens()).isEqualTo(10);
    assertThat(statistics.generatedTokens()).isEqualTo(3);
    assertThat(statistics.steps()).isEqualTo(3);
  }

  @Test
  void isSilentOnlyWhileItHasWork() {
    engine.send(Submits.submit(7, prompt, 3, sink));
    engine.step();
    assertThat(engine.statistics().silence(now + 5_000)).isEqualTo(Duration.ofNanos(5_000));
    finish();
    assertThat(engine.statistics().silence(now + 5_000)).isZero();
  }

  @Test
  void sleepsWhenItHasNothingToDo() throws InterruptedException {
    engine.send(Submits.submit(7, prompt, 3, sink));
    Thread thread = Thread.ofPlatform().start(engine);
    while (thread.getState() != Thread.State.TIMED_WAITING || engine.statistics().steps() < 3) {
      Thread.sleep(1);
    }
    engine.close();
    thread.join();
    assertThat(sink.last()).isInstanceOf(Finished.class);
    assertThat(engine.ended()).isTrue();
  }

  @Test
  void closeFailsWhatLives() {
    engine.send(
        Submits.submit(
            7,
            prompt,
            50,
            event -> {
              sink.accept(event);
              if (event instanceof Token(_, int index, _, _) && index == 3) {
                engine.close();
              }
            }));
    engine.run();
    assertThat(sink.tokens()).hasSize(4);
    assertThat(failure(sink)).isEqualTo(FailureCode.REPLICA_FAILED);
  }

  @Test
  void refusesMoreSequencesThanTheExecutorHasSlots() {
    assertThatThrownBy(() -> engine(new EngineLimits(64, 5, 16, 2, true)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("--max-num-seqs 5 is more than the 4 slots of the executor");
  }

  @Test
  void refusesASubmissionThatAsksForNothing() {
    assertThatThrownBy(() -> Submits.submit(1, NOTHING, 5, sink))
        .hasMessage("the prompt is empty; it needs at least one token");
    assertThatThrownBy(() -> Submits.submit(1, prompt, 0, sink))
        .hasMessage("max_tokens is 0; it must be at least 1");
  }

  private Engine engine(EngineLimits limits) {
    return new Engine(executor, limits, recorder, () -> now);
  }

  private void finish() {
    do {
      engine.step();
      engine.checkInvariants();
    } while (!engine.isIdle());
  }

  private static FailureCode failure(RecordingSink sink) {
    return ((Failed) sink.last()).code();
  }

  private static final class Recorder implements EngineListener {
    private final List<Integer> stepTokens = new ArrayList<>();
    private final List<SequenceTimes> times = new ArrayList<>();

    @Override
    public void stepApplied(int tokens) {
      stepTokens.add(tokens);
    }

    @Override
    public void sequenceEnded(SequenceTimes ended) {
      times.add(ended);
    }
  }
}
