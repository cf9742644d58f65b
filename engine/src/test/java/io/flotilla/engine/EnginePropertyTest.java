package io.flotilla.engine;

import static org.assertj.core.api.Assertions.assertThat;

import io.flotilla.engine.EngineCommand.Abort;
import io.flotilla.engine.EngineCommand.Submit;
import io.flotilla.engine.TokenEvent.Failed;
import io.flotilla.engine.TokenEvent.FailureCode;
import io.flotilla.engine.TokenEvent.FinishReason;
import io.flotilla.engine.TokenEvent.Finished;
import io.flotilla.engine.TokenEvent.PromptScored;
import io.flotilla.engine.TokenEvent.Token;
import io.flotilla.model.sampling.SamplingParameters;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.random.RandomGenerator;
import org.junit.jupiter.api.Test;

/**
 * Whatever arrives when, is aborted, preempted, cut into chunks or found in the prefix cache: every
 * sequence gets exactly the tokens it would get alone.
 */
class EnginePropertyTest {
  private static final int RUNS = 1500;
  private static final int REQUESTS = 16;

  private record Sent(Submit submit, RecordingSink sink, boolean aborted) {}

  @Test
  void everySequenceGetsTheTokensItWouldGetAlone() {
    Totals totals = new Totals();
    for (int seed = 0; seed < RUNS; seed++) {
      try {
        new Run(new Random(seed)).check(totals);
      } catch (AssertionError | RuntimeException failure) {
        throw new AssertionError("with seed " + seed, failure);
      }
    }
    // The runs must reach what they are there for.
    assertThat(totals.preemptions).isGreaterThan(RUNS);
    assertThat(totals.prefixHits).isGreaterThan(RUNS);
    assertThat(totals.previousSamples).isGreaterThan(RUNS);
    assertThat(totals.chunks).isGreaterThan(RUNS);
    assertThat(totals.stopped).isGreaterThan(RUNS / 2);
    assertThat(totals.aborted).isGreaterThan(RUNS / 2);
    assertThat(totals.scored).isGreaterThan(RUNS / 2);
    assertThat(totals.refused).isGreaterThan(RUNS / 2);
  }

  private static final class Totals {
    private long preemptions;
    private long prefixHits;
    private long previousSamples;
    private long chunks;
    private long stopped;
    private long aborted;
    private long scored;
    private long refused;
  }

  private static final class Run {
    private final RandomGenerator random;
    private final FakeExecutor executor;
    private final EngineLimits limits;
    private final Engine engine;
    private final int contextLength;
    private final List<Sent> sent = new ArrayList<>();

    Run(RandomGenerator random) {
      this.random = random;
      int blockSize = random.nextInt(1, 6);
      int blocks = random.nextInt(Math.ceilDiv(12, blockSize), Math.ceilDiv(70, blockSize));
      int slots = random.nextInt(1, 7);
      executor = new FakeExecutor(blocks, blockSize, slots, random.nextInt(1, 5));
      limits =
          new EngineLimits(
              random.nextInt(8, 60),
              slots,
              slots + random.nextInt(20),
              REQUESTS,
              random.nextInt(4) > 0);
      engine = new Engine(executor, limits, EngineListener.NONE);
      contextLength = Math.min(limits.maxModelLength(), blocks * blockSize);
    }

    void check(Totals totals) {
      for (int turn = 0; sent.size() < REQUESTS || !engine.isIdle(); turn++) {
        assertThat(turn).as("turns").isLessThan(5000);
        if (sent.size() < REQUESTS && random.nextInt(3) > 0) {
          send();
        }
        if (random.nextInt(20) == 0) {
          abortOne();
        }
        engine.step();
        engine.checkInvariants();
      }
      sent.forEach(each -> checkOutput(each, totals));
      assertThat(engine.statistics().kvUsage()).isZero();
      assertThat(engine.statistics().generatedTokens())
          .isEqualTo(sent.stream().mapToLong(each -> each.sink.tokens().size()).sum());
      count(totals);
    }

    private void send() {
      int[] prompt = prompt();
      int maxTokens = random.nextInt(1, 24);
      int promptLogprobs = random.nextInt(5) == 0 ? 0 : -1;
      List<Integer> stop = random.nextInt(3) == 0 ? stopTokens(prompt) : List.of();
      long seed = random.nextInt(2);
      SamplingParameters sampling = Submits.sampling(seed, stop, promptLogprobs);
      List<Integer> all = Submits.expected(prompt, sampling, maxTokens);
      int replayed = random.nextInt(4) == 0 ? random.nextInt(all.size()) : 0;
      int[] generated = all.stream().limit(replayed).mapToInt(Integer::intValue).toArray();
      RecordingSink sink = new RecordingSink(replayed);
      Submit submit =
          new Submit(
              sent.size(), prompt, generated, sampling, maxTokens, "" + random.nextInt(2), sink);
      sent.add(new Sent(submit, sink, false));
      engine.send(submit);
    }

    /** Many prompts begin alike. */
    private int[] prompt() {
      int[] prompt = Submits.prompt(random.nextInt(2), random.nextInt(1, 30));
      for (int i = random.nextInt(prompt.length + 1); i < prompt.length; i++) {
        prompt[i] = random.nextInt(FakeExecutor.VOCABULARY);
      }
      return prompt;
    }

    private List<Integer> stopTokens(int[] prompt) {
      List<Integer> output = Submits.expected(prompt, Submits.sampling(0, List.of(), -1), 16);
      return List.of(output.get(random.nextInt(16)));
    }

    private void abortOne() {
      if (!sent.isEmpty()) {
        int index = random.nextInt(sent.size());
        Sent one = sent.get(index);
        if (!one.sink.ended()) {
          sent.set(index, new Sent(one.submit, one.sink, true));
        }
        engine.send(new Abort(one.submit.id()));
      }
    }

    private void checkOutput(Sent one, Totals totals) {
      Submit submit = one.submit;
      assertThat(one.sink.ended()).isTrue();
      if (submit.prompt().length >= contextLength) {
        assertThat(one.sink.last())
            .isInstanceOfSatisfying(
                Failed.class, failed -> assertThat(failed.code()).isEqualTo(FailureCode.TOO_LONG));
        totals.refused++;
        return;
      }
      int replayed = submit.generated().length;
      int room = contextLength - submit.prompt().length;
      int most = Math.max(replayed, Math.min(submit.maxTokens(), room));
      List<Integer> all = Submits.expected(submit.prompt(), submit.sampling(), most);
      List<Integer> output = all.subList(Math.min(replayed, all.size()), all.size());
      Finished finished = (Finished) one.sink.last();
      if (finished.reason() == FinishReason.ABORT) {
        assertThat(one.aborted).isTrue();
        assertThat(one.sink.tokens()).isEqualTo(output.subList(0, one.sink.tokens().size()));
        totals.aborted++;
      } else {
        boolean stopped = submit.sampling().stopTokens().contains(all.getLast());
        assertThat(one.sink.tokens()).isEqualTo(output);
        assertThat(finished.reason()).isEqualTo(stopped ? FinishReason.STOP : FinishReason.LENGTH);
        totals.stopped += stopped ? 1 : 0;
      }
      assertThat(finished.generatedTokens()).isEqualTo(replayed + one.sink.tokens().size());
      assertThat(finished.cachedTokens()).isBetween(0, submit.prompt().length);
      checkScores(one, totals);
    }

    private static void checkScores(Sent one, Totals totals) {
      Submit submit = one.submit;
      boolean asked = submit.sampling().promptLogprobs() >= 0 && submit.generated().length == 0;
      boolean hasToken = one.sink.events().stream().anyMatch(Token.class::isInstance);
      List<PromptScored> scores =
          one.sink.events().stream()
              .filter(PromptScored.class::isInstance)
              .map(PromptScored.class::cast)
              .toList();
      assertThat(scores).hasSize(asked && hasToken ? 1 : 0);
      for (PromptScored each : scores) {
        assertThat(each.tokens().stream().mapToInt(token -> token.token()))
            .containsExactlyElementsOf(Arrays.stream(submit.prompt()).skip(1).boxed().toList());
        totals.scored++;
      }
    }

    private void count(Totals totals) {
      totals.preemptions += engine.statistics().preemptions();
      totals.prefixHits += engine.statistics().prefixHits();
      executor.plans().stream()
          .flatMap(plan -> plan.sequences().stream())
          .forEach(
              share -> {
                totals.chunks += share.sample() ? 0 : 1;
                totals.previousSamples +=
                    share.tokens() instanceof io.flotilla.executor.StepPlan.TokenInput.Known
                        ? 0
                        : 1;
              });
      executor
          .plans()
          .forEach(
              plan -> assertThat(plan.tokenCount()).isLessThanOrEqualTo(limits.maxBatchedTokens()));
    }
  }
}
