package io.flotilla.generation;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.flotilla.engine.TokenEvent;
import io.flotilla.engine.TokenEvent.FailureCode;
import io.flotilla.engine.TokenEvent.FinishReason;
import io.flotilla.fleet.Router;
import io.flotilla.generation.GenerationEvent.Delta;
import io.flotilla.generation.GenerationEvent.Ended;
import io.flotilla.generation.GenerationEvent.Failed;
import io.flotilla.generation.GenerationEvent.GeneratedToken;
import io.flotilla.generation.GenerationEvent.PromptScored;
import io.flotilla.generation.GenerationEvent.Usage;
import io.flotilla.model.sampling.SamplingParameters;
import io.flotilla.model.sampling.TokenLogprobs;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(20)
class RunningGenerationTest {
  private static final int[] PROMPT = {'h', 'i'};
  private static final int END = LetterTokenizer.END;

  private final FakeEngine engine = new FakeEngine();
  private final Router router = new Router(List.of(engine));

  @Test
  void yieldsTextAndUsage() throws InterruptedException {
    Generation generation = start(false);
    engine.sample('a');
    assertThat(generation.next()).isEqualTo(delta("a", 'a'));
    engine.sample('b');
    engine.finish(FinishReason.LENGTH);
    assertThat(generation.next()).isEqualTo(delta("b", 'b'));
    assertThat(generation.next()).isEqualTo(ended(FinishReason.LENGTH, 2));
    assertThatThrownBy(generation::next).isInstanceOf(NoSuchElementException.class);
    assertThat(engine.aborts()).isEmpty();
  }

  @Test
  void joinsTokensThatHaveComeMeanwhile() throws InterruptedException {
    Generation generation = start(false);
    engine.sample('a', 'b', 'c');
    assertThat(generation.next()).isEqualTo(delta("abc", 'a', 'b', 'c'));
  }

  @Test
  void leavesAStopTokenOutOfTheTextButCountsIt() throws InterruptedException {
    Generation generation = start(false);
    engine.sample('a', END);
    engine.finish(FinishReason.STOP);
    assertThat(generation.next()).isEqualTo(delta("a", 'a', END));
    assertThat(generation.next())
        .isEqualTo(new Ended(FinishReason.STOP, null, END, new Usage(2, FakeEngine.CACHED, 2)));
  }

  @Test
  void abortsAtAStopStringAndCountsNothingBehindIt() throws InterruptedException {
    Generation generation = start(false, "xy");
    engine.sample('a', 'x');
    assertThat(generation.next()).isEqualTo(delta("a", 'a', 'x'));
    engine.sample('y', 'z');
    assertThat(generation.next()).isEqualTo(delta("", 'y'));
    assertThat(engine.aborts()).containsExactly(engine.submitted().id());
    engine.sample('z');
    engine.finish(FinishReason.ABORT);
    assertThat(generation.next())
        .isEqualTo(new Ended(FinishReason.STOP, "xy", null, new Usage(2, FakeEngine.CACHED, 3)));
  }

  @Test
  void keepsTheStopStringWhereThatIsWanted() throws InterruptedException {
    Generation generation = start(true, "xy");
    engine.sample('a', 'x', 'y');
    assertThat(generation.next()).isEqualTo(delta("axy", 'a', 'x', 'y'));
  }

  @Test
  void returnsWhatWasHeldBackForAStopStringThatDidNotCome() throws InterruptedException {
    Generation generation = start(false, "xyz");
    engine.sample('a', 'x', 'y');
    engine.finish(FinishReason.LENGTH);
    assertThat(generation.next()).isEqualTo(delta("a", 'a', 'x', 'y'));
    assertThat(generation.next()).isEqualTo(new Delta("xy", List.of()));
    assertThat(generation.next()).isEqualTo(ended(FinishReason.LENGTH, 3));
  }

  @Test
  void aStopStringWinsOverTheEndOfTheLength() throws InterruptedException {
    Generation generation = start(false, "x");
    engine.sample('x');
    engine.finish(FinishReason.LENGTH);
    assertThat(generation.next()).isEqualTo(delta("", 'x'));
    assertThat(generation.next())
        .isEqualTo(new Ended(FinishReason.STOP, "x", null, new Usage(2, FakeEngine.CACHED, 1)));
  }

  @Test
  void aFailureAfterAStopStringTakesNothingFromTheAnswer() throws InterruptedException {
    Generation generation = start(false, "x");
    engine.sample('x');
    assertThat(generation.next()).isEqualTo(delta("", 'x'));
    engine.fail("gone");
    assertThat(generation.next())
        .isEqualTo(new Ended(FinishReason.STOP, "x", null, new Usage(2, 0, 1)));
  }

  @Test
  void reportsAFailure() throws InterruptedException {
    Generation generation = start(false);
    engine.fail("rank 0 lost its device");
    assertThat(generation.next())
        .isEqualTo(new Failed(FailureCode.REPLICA_FAILED, "rank 0 lost its device"));
    assertThatThrownBy(generation::next).isInstanceOf(NoSuchElementException.class);
  }

  @Test
  void throwsAFailureToWhomWantsTextAlone() {
    Generation generation = start(false);
    engine.fail("rank 0 lost its device");
    assertThatThrownBy(() -> generation.forEachText(_ -> {}))
        .isInstanceOf(GenerationException.class)
        .hasMessage("rank 0 lost its device");
  }

  @Test
  void yieldsTheScoresOfThePromptFirst() throws InterruptedException {
    Generation generation = start(false);
    TokenLogprobs score = new TokenLogprobs('i', -1f, 1, new int[0], new float[0]);
    engine
        .submitted()
        .sink()
        .accept(new TokenEvent.PromptScored(engine.submitted().id(), List.of(score)));
    engine.sample('a');
    assertThat(generation.next()).isEqualTo(new PromptScored(List.of(score)));
    assertThat(generation.next()).isEqualTo(delta("a", 'a'));
  }

  @Test
  void closeAbortsWhatStillRuns() throws InterruptedException {
    Generation generation = start(false);
    engine.sample('a');
    generation.close();
    assertThat(engine.aborts()).containsExactly(engine.submitted().id());
    engine.finish(FinishReason.ABORT);
    assertThat(generation.next()).isEqualTo(delta("a", 'a'));
    assertThat(generation.next()).isEqualTo(ended(FinishReason.ABORT, 1));
  }

  @Test
  void closeLeavesAnEndedSequenceAlone() {
    Generation generation = start(false);
    engine.sample('a');
    engine.finish(FinishReason.LENGTH);
    generation.close();
    assertThat(engine.aborts()).isEmpty();
  }

  @Test
  void passesTheRequestOn() {
    start(false);
    assertThat(engine.submitted().cacheSalt()).isEqualTo("tenant");
    assertThat(engine.submitted().maxTokens()).isEqualTo(10);
    assertThat(engine.submitted().prompt()).isEqualTo(PROMPT);
  }

  private Generation start(boolean includeStop, String... stop) {
    SamplingParameters sampling =
        new SamplingParameters(0f, 0, 1f, 0f, 1f, 0f, 0f, Map.of(), 0L, 0, 0, List.of(END), -1, -1);
    GenerationRequest request =
        new GenerationRequest(PROMPT, sampling, 10, List.of(stop), includeStop, true, "tenant");
    return RunningGeneration.start(7, request, new LetterTokenizer(), router);
  }

  private static Delta delta(String text, int... tokens) {
    List<GeneratedToken> generated =
        java.util.Arrays.stream(tokens).mapToObj(id -> new GeneratedToken(id, null)).toList();
    return new Delta(text, generated);
  }

  private static Ended ended(FinishReason reason, int generated) {
    return new Ended(reason, null, null, new Usage(2, FakeEngine.CACHED, generated));
  }
}
