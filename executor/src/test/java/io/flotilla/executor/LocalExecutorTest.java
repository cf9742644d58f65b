package io.flotilla.executor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.flotilla.executor.StepPlan.Admission;
import io.flotilla.executor.StepPlan.SequenceStep;
import io.flotilla.executor.StepPlan.TokenInput.Known;
import io.flotilla.executor.StepPlan.TokenInput.PreviousSample;
import io.flotilla.executor.StepResult.PromptLogprobs;
import io.flotilla.executor.StepResult.Sample;
import io.flotilla.model.sampling.SamplingParameters;
import io.flotilla.model.sampling.TokenLogprobs;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class LocalExecutorTest {
  private static final int[] PROMPT = {5, 3, 8, 1, 112, 0, 7};

  private final OpenModel model = OpenModel.open("tiny-qwen3");
  private final LocalExecutor executor = model.start(1, 3, 40, 8);

  @AfterEach
  void close() {
    executor.close();
    model.close();
  }

  /** The whole prompt in one step, in a block of its own. */
  private static SequenceStep whole(int slot, int[] prompt, int block, SamplingParameters with) {
    Admission admission = new Admission(prompt, prompt.length, with);
    return new SequenceStep(slot, admission, 0, new Known(prompt), new int[] {block}, true);
  }

  private static SequenceStep part(int slot, int computed, int... ids) {
    return new SequenceStep(slot, null, computed, new Known(ids), new int[0], false);
  }

  private StepResult run(long step, SequenceStep... sequences) {
    return executor.submit(new StepPlan(step, List.of(sequences))).join();
  }

  @Test
  void saysHowLargeItIs() {
    assertThat(executor.topology()).isEqualTo(Topology.SINGLE);
    assertThat(executor.kvBlocks()).isEqualTo(8);
    assertThat(executor.blockSize()).isEqualTo(16);
    assertThat(executor.maxSequences()).isEqualTo(3);
    assertThat(executor.maxStepsInFlight()).isEqualTo(2);
  }

  @Test
  void aBadPlanIsRefusedAndTheExecutorLivesOn() {
    SequenceStep good = whole(0, PROMPT, 0, Samplings.greedy(-1, -1));
    assertRefused("step 7 computes 41 tokens, at most 40 fit", part(0, 0, new int[41]));
    assertRefused("step 7 names slot 0 twice or outside 3 slots", good, good);
    assertRefused("step 7 names slot 3 twice or outside 3 slots", part(3, 0, 1));
    assertRefused("step 7 names slot -1 twice or outside 3 slots", part(-1, 0, 1));
    assertRefused("step 7 computes tokens 0 to 0 of slot 0, of 128", part(0, 0));
    assertRefused("step 7 computes tokens -1 to 0 of slot 0, of 128", part(0, -1, 1));
    assertRefused("step 7 computes tokens 127 to 129 of slot 0, of 128", part(0, 127, 1, 2));
    assertRefused(
        "step 7 computes tokens 2147483647 to 2147483648 of slot 0, of 128",
        part(0, Integer.MAX_VALUE, 1));
    assertThat(executor.failure()).isNull();
    assertThat(run(7, good).samples()).hasSize(1);
  }

  private void assertRefused(String message, SequenceStep... sequences) {
    StepPlan plan = new StepPlan(7, List.of(sequences));
    assertThatThrownBy(() -> executor.submit(plan))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage(message);
  }

  @Test
  void anEmptyPlanYieldsAnEmptyResult() {
    assertThat(run(3)).isEqualTo(new StepResult(3, List.of(), List.of()));
  }

  @Test
  void samplesComeInTheOrderOfThePlanFromThoseThatAsked() {
    SamplingParameters greedy = Samplings.greedy(0, -1);
    SequenceStep silent = whole(1, PROMPT, 1, greedy);
    StepResult result =
        run(
            0,
            whole(2, PROMPT, 2, greedy),
            new SequenceStep(1, silent.admission(), 0, silent.tokens(), silent.newBlocks(), false),
            whole(0, new int[] {9}, 0, greedy));
    assertThat(result.samples()).extracting(Sample::slot).containsExactly(2, 0);
  }

  @Test
  void logprobsAreOnlyThereWhenAskedFor() {
    Sample none = run(0, whole(0, PROMPT, 0, Samplings.greedy(-1, -1))).samples().getFirst();
    Sample own = run(1, whole(0, PROMPT, 0, Samplings.greedy(0, -1))).samples().getFirst();
    Sample three = run(2, whole(0, PROMPT, 0, Samplings.greedy(3, -1))).samples().getFirst();
    assertThat(none.logprobs()).isNull();
    assertThat(Objects.requireNonNull(own.logprobs()).topTokens()).isEmpty();
    assertThat(Objects.requireNonNull(three.logprobs()).topTokens())
        .hasSize(3)
        .startsWith(three.token());
    assertThat(three.logprobs().rank()).isOne();
    assertThat(three.token()).isEqualTo(own.token()).isEqualTo(none.token());
  }

  @Test
  void everyPromptTokenButTheFirstIsScoredAcrossChunks() {
    SamplingParameters sampling = Samplings.greedy(-1, 0);
    Admission admission = new Admission(PROMPT, PROMPT.length, sampling);
    List<PromptLogprobs> scored = new ArrayList<>();
    int[] ends = {1, 4, 5, PROMPT.length, PROMPT.length + 1};
    int[] tokens = Arrays.copyOf(PROMPT, PROMPT.length + 1);
    int computed = 0;
    for (int end : ends) {
      SequenceStep step =
          new SequenceStep(
              0,
              computed == 0 ? admission : null,
              computed,
              new Known(Arrays.copyOfRange(tokens, computed, end)),
              computed == 0 ? new int[] {4} : new int[0],
              false);
      scored.addAll(run(end, step).promptLogprobs());
      computed = end;
    }
    assertThat(scored).extracting(PromptLogprobs::firstPosition).containsExactly(1, 2, 5, 6);
    assertThat(scored).extracting(chunk -> chunk.tokens().size()).containsExactly(1, 3, 1, 1);
    assertThat(scored.stream().flatMap(chunk -> chunk.tokens().stream()).map(TokenLogprobs::token))
        .containsExactlyElementsOf(Arrays.stream(PROMPT).skip(1).boxed().toList());
  }

  @Test
  void aPromptTokenIsScoredByWhatFollowsTheTokensBeforeIt() {
    int vocabulary = model.config().vocabularySize();
    StepResult whole = run(0, whole(0, PROMPT, 0, Samplings.greedy(-1, 0)));
    List<TokenLogprobs> scored = whole.promptLogprobs().getFirst().tokens();
    for (int length = 1; length < PROMPT.length; length++) {
      int[] before = Arrays.copyOf(PROMPT, length);
      Sample sample =
          run(length, whole(1, before, 1, Samplings.greedy(vocabulary, -1))).samples().getFirst();
      TokenLogprobs all = Objects.requireNonNull(sample.logprobs());
      int rank = 0;
      while (all.topTokens()[rank] != PROMPT[length]) {
        rank++;
      }
      assertThat(scored.get(length - 1).logprob()).isEqualTo(all.topLogprobs()[rank]);
    }
  }

  @Test
  void promptsAreNotScoredUnlessAskedFor() {
    assertThat(run(0, whole(0, PROMPT, 0, Samplings.greedy(5, -1))).promptLogprobs()).isEmpty();
  }

  @Test
  void aSlotForgetsTheSequenceBefore() {
    Random random = new Random(1);
    for (int round = 0; round < 20; round++) {
      int[] old = random.ints(16, 0, model.config().vocabularySize()).toArray();
      run(round, whole(0, old, 2, Samplings.random(random, -1, 5)));
      SamplingParameters sampling = Samplings.random(random, 5, -1);
      Sample reused = run(round, whole(0, PROMPT, 2, sampling)).samples().getFirst();
      try (LocalExecutor fresh = model.start(1, 3, 40, 8)) {
        StepPlan plan = new StepPlan(0, List.of(whole(0, PROMPT, 2, sampling)));
        Sample expected = fresh.submit(plan).join().samples().getFirst();
        assertThat(Scores.bits(Objects.requireNonNull(reused.logprobs())))
            .isEqualTo(Scores.bits(Objects.requireNonNull(expected.logprobs())));
      }
    }
  }

  @Test
  void aTokenNotYetSeenByTheHostIsTheSampleBefore() {
    SamplingParameters sampling = Samplings.greedy(10, -1);
    List<StepPlan> plans = new ArrayList<>();
    plans.add(new StepPlan(0, List.of(whole(0, PROMPT, 0, sampling))));
    for (int i = 0; i < 5; i++) {
      SequenceStep step =
          new SequenceStep(0, null, PROMPT.length + i, new PreviousSample(), new int[0], true);
      plans.add(new StepPlan(i + 1, List.of(step)));
    }
    List<Sample> ahead =
        plans.stream().map(executor::submit).toList().stream()
            .map(result -> result.join().samples().getFirst())
            .toList();
    int[] tokens = PROMPT;
    for (Sample sample : ahead) {
      Sample expected = run(9, whole(1, tokens, 1, sampling)).samples().getFirst();
      assertThat(sample.token()).isEqualTo(expected.token());
      tokens = Arrays.copyOf(tokens, tokens.length + 1);
      tokens[tokens.length - 1] = sample.token();
    }
  }

  @Test
  void progressGrowsWithEveryStep() {
    long before = executor.progress();
    run(0, whole(0, PROMPT, 0, Samplings.greedy(-1, -1)));
    assertThat(executor.progress()).isGreaterThan(before);
  }
}
