package io.flotilla.engine.schedule;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.flotilla.engine.cache.BlockManager;
import io.flotilla.executor.StepPlan.Admission;
import io.flotilla.executor.StepPlan.SequenceStep;
import io.flotilla.executor.StepPlan.TokenInput.Known;
import io.flotilla.executor.StepPlan.TokenInput.PreviousSample;
import io.flotilla.executor.StepResult;
import io.flotilla.executor.StepResult.Sample;
import io.flotilla.model.sampling.SamplingParameters;
import io.flotilla.model.sampling.TokenLogprobs;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class SchedulerTest {
  private static final int BLOCK_SIZE = 4;
  private static final int STOP = 7;
  private static final int[] NOTHING = {};

  private Scheduler scheduler = scheduler(100, 4, 16);

  @AfterEach
  void invariantsHold() {
    scheduler.checkInvariants();
  }

  @Test
  void computesDecodesBeforePrefills() {
    Observer decoding = add(2, 10);
    apply(plan(), 1);
    Observer prefilling = add(40, 10);
    PlannedStep step = plan();
    assertThat(tokens(step)).containsExactly(1, 15);
    assertThat(step.sequences()).containsExactly(decoding.sequence, prefilling.sequence);
  }

  @Test
  void doesNotLetAnOlderPrefillDelayDecodes() {
    add(40, 10);
    add(2, 10);
    scheduler.plan();
    scheduler.plan();
    PlannedStep last = plan();
    assertThat(tokens(last)).containsExactly(8, 2);
    apply(last, 1, 1);
    assertThat(tokens(plan())).containsExactly(1, 1);
  }

  @Test
  void cutsAPromptIntoChunksOfTheBudgetAndSamplesAfterTheLast() {
    add(40, 10);
    List<SequenceStep> chunks = new ArrayList<>();
    for (int i = 0; i < 3; i++) {
      chunks.addAll(plan().plan().sequences());
    }
    assertThat(chunks).extracting(SequenceStep::computed).containsExactly(0, 16, 32);
    assertThat(chunks).extracting(SequenceStep::sample).containsExactly(false, false, true);
    assertThat(chunks.getFirst().admission()).isNotNull();
    assertThat(chunks.get(1).admission()).isNull();
  }

  @Test
  void admitsFirstComeFirstServedUpToTheSlots() {
    List<Observer> observers = new ArrayList<>();
    for (int i = 0; i < 6; i++) {
      observers.add(add(2, 10));
    }
    PlannedStep step = plan();
    assertThat(step.sequences())
        .containsExactlyElementsOf(observers.stream().limit(4).map(each -> each.sequence).toList());
    assertThat(step.plan().sequences())
        .extracting(SequenceStep::slot)
        .containsExactlyInAnyOrder(0, 1, 2, 3);
    assertThat(scheduler.waiting()).isEqualTo(2);
  }

  @Test
  void admitsNobodyPastOneWhoDoesNotFit() {
    scheduler = scheduler(6, 4, 16);
    add(10, 2);
    add(50, 14, 2);
    Observer small = add(1, 2);
    assertThat(plan().sequences()).hasSize(1);
    assertThat(small.sequence.isRunning()).isFalse();
  }

  @Test
  void refersToTokensTheHostHasNotSeen() {
    add(2, 10);
    PlannedStep first = plan();
    PlannedStep second = plan();
    assertThat(share(second).tokens()).isInstanceOf(PreviousSample.class);
    apply(first, 5);
    assertThat(share(plan()).tokens()).isInstanceOf(PreviousSample.class);
    apply(second, 6);
  }

  @Test
  void sendsTokensTheHostKnows() {
    add(2, 10);
    apply(plan(), 5);
    assertThat(share(plan()).tokens())
        .isInstanceOfSatisfying(Known.class, known -> assertThat(known.ids()).containsExactly(5));
  }

  @Test
  void plansNothingPastTheLastToken() {
    add(2, 2);
    PlannedStep first = plan();
    PlannedStep second = plan();
    assertThat(scheduler.plan()).isNull();
    apply(first, 5);
    assertThat(scheduler.plan()).isNull();
    apply(second, 6);
    assertThat(scheduler.isIdle()).isTrue();
  }

  @Test
  void endsAtTheContextLength() {
    Observer observer = add(398, 1000);
    List<Integer> sampled = new ArrayList<>();
    for (PlannedStep step = scheduler.plan(); step != null; step = scheduler.plan()) {
      apply(step, share(step).sample() ? new int[] {5} : NOTHING);
      sampled.add(tokens(step).getFirst());
    }
    assertThat(observer.tokens).hasSize(2);
    assertThat(observer.ending).isEqualTo(Ending.LENGTH);
    assertThat(sampled).hasSize(26);
  }

  @Test
  void discardsTokensComputedPastAStop() {
    Observer observer = add(2, 10);
    PlannedStep first = plan();
    PlannedStep second = plan();
    apply(first, STOP);
    assertThat(observer.ending).isEqualTo(Ending.STOP);
    apply(second, 9);
    assertThat(observer.tokens).containsExactly(STOP);
    assertThat(scheduler.generatedTokens()).isEqualTo(1);
  }

  @Test
  void givesASlotOnWhileAStepOfItsFormerHolderIsInFlight() {
    scheduler = scheduler(10, 1, 16);
    add(2, 10);
    Observer next = add(3, 10);
    PlannedStep first = plan();
    PlannedStep second = plan();
    apply(first, STOP);
    PlannedStep third = plan();
    assertThat(third.sequences()).containsExactly(next.sequence);
    assertThat(share(third).slot()).isEqualTo(share(second).slot());
    apply(second, 9);
    apply(third, 8);
    assertThat(next.tokens).containsExactly(8);
  }

  @Test
  void preemptsNewestSequenceWhenBlocksRunOut() {
    scheduler = scheduler(7, 4, 32);
    Observer oldest = add(8, 20);
    Observer newest = add(50, 8, 20);
    // Both need a third block for their next token, then a fourth, of seven.
    runTogether(5);
    PlannedStep step = plan();
    assertThat(step.sequences()).containsExactly(oldest.sequence);
    assertThat(newest.sequence.isRunning()).isFalse();
    assertThat(scheduler.preemptions()).isEqualTo(1);
    assertThat(newest.tokens).hasSize(5);
  }

  @Test
  void resumesAPreemptedSequenceFirstAndWithItsTokens() {
    scheduler = scheduler(7, 4, 32);
    Observer oldest = add(8, 20);
    Observer preempted = add(50, 8, 20);
    runTogether(5);
    apply(plan(), 5);
    Observer later = add(1, 2);
    scheduler.abort(oldest.sequence);
    PlannedStep step = plan();
    assertThat(step.sequences()).containsExactly(preempted.sequence, later.sequence);
    Admission admission = step.plan().sequences().getFirst().admission();
    assertThat(admission).isNotNull();
    assertThat(admission.history()).hasSize(13);
    assertThat(admission.promptLength()).isEqualTo(8);
  }

  @Test
  void preemptedSequenceGetsTheTokensOfItsStepsInFlight() {
    scheduler = scheduler(7, 4, 32);
    add(8, 20);
    Observer preempted = add(50, 8, 20);
    runTogether(4);
    PlannedStep inFlight = plan();
    PlannedStep alone = plan();
    assertThat(alone.sequences()).hasSize(1);
    apply(inFlight, 5, 5);
    assertThat(preempted.tokens).hasSize(5);
    apply(alone, 5);
  }

  @Test
  void sharesThePromptOfASequenceAdmittedInTheSameStep() {
    Observer first = add(9, 10);
    Observer second = add(9, 10);
    PlannedStep step = plan();
    assertThat(tokens(step)).containsExactly(9, 1);
    assertThat(first.sequence.cachedTokens()).isZero();
    assertThat(second.sequence.cachedTokens()).isEqualTo(8);
    assertThat(scheduler.prefixQueries()).isEqualTo(18);
    assertThat(scheduler.prefixHits()).isEqualTo(8);
  }

  @Test
  void reusesGeneratedTokensOfAnEndedSequence() {
    Observer first = add(3, 6);
    for (int token = 10; token < 16; token++) {
      apply(plan(), token);
    }
    assertThat(first.ending).isEqualTo(Ending.LENGTH);
    int[] conversation = {0, 1, 2, 10, 11, 12, 13, 14, 15, 20};
    Observer second = new Observer();
    start(conversation, 4, second);
    plan();
    assertThat(second.sequence.cachedTokens()).isEqualTo(8);
  }

  @Test
  void abortFreesSlotAndBlocks() {
    scheduler = scheduler(10, 1, 16);
    Observer observer = add(8, 10);
    plan();
    scheduler.abort(observer.sequence);
    scheduler.abort(observer.sequence);
    assertThat(observer.ending).isEqualTo(Ending.ABORTED);
    assertThat(scheduler.isIdle()).isTrue();
    add(8, 10);
    assertThat(plan().sequences()).hasSize(1);
  }

  @Test
  void refusesAContextThatNoSequenceCouldFill() {
    BlockManager blocks = new BlockManager(2, BLOCK_SIZE, true);
    assertThatThrownBy(() -> new Scheduler(new StepLimits(9, 1, 16), blocks))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("9 tokens does not fit 2 KV blocks");
  }

  @Test
  void refusesAResultOfAnotherSlot() {
    add(2, 10);
    PlannedStep step = plan();
    StepResult wrong = new StepResult(0, List.of(new Sample(3, 5, null)), List.of());
    assertThatThrownBy(() -> scheduler.apply(step, wrong))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("sampled slot 3");
  }

  @Test
  void sequencesThatGenerateTakeTurnsInEvenMicroBatches() {
    scheduler = pipelined(64, 6, 512, 3);
    for (int i = 0; i < 6; i++) {
      add(10 * i, 4, 20);
    }
    // All prompts fit one step, so all would begin in one turn.
    PlannedStep first = plan();
    assertThat(tokens(first)).containsExactly(4, 4, 4, 4, 4, 4);
    for (int turn = 0; turn < 9; turn++) {
      assertThat(tokens(plan())).containsExactly(1, 1);
    }
  }

  @Test
  void aSequenceAloneTakesEveryTurn() {
    scheduler = pipelined(64, 6, 512, 3);
    add(4, 20);
    assertThat(tokens(plan())).containsExactly(4);
    assertThat(tokens(plan())).containsExactly(1);
    assertThat(tokens(plan())).containsExactly(1);
  }

  @Test
  void promptsAreCutIntoChunksThatKeepStagesEven() {
    scheduler = pipelined(200, 4, 512, 2);
    add(300, 20);
    assertThat(tokens(plan())).containsExactly(150);
    assertThat(tokens(plan())).containsExactly(75);
    assertThat(tokens(plan())).containsExactly(64);
    assertThat(tokens(plan())).containsExactly(11);
  }

  private static Scheduler pipelined(int blocks, int slots, int budget, int microBatches) {
    return new Scheduler(
        new StepLimits(blocks * BLOCK_SIZE, slots, budget, microBatches),
        new BlockManager(blocks, BLOCK_SIZE, true));
  }

  private static Scheduler scheduler(int blocks, int slots, int budget) {
    return new Scheduler(
        new StepLimits(blocks * BLOCK_SIZE, slots, budget),
        new BlockManager(blocks, BLOCK_SIZE, true));
  }

  private Observer add(int promptLength, int maxTokens) {
    return add(0, promptLength, maxTokens);
  }

  /** A prompt begins like others with the same first token. */
  private Observer add(int firstToken, int promptLength, int maxTokens) {
    int[] prompt = new int[promptLength];
    for (int i = 0; i < promptLength; i++) {
      prompt[i] = firstToken + i;
    }
    Observer observer = new Observer();
    start(prompt, maxTokens, observer);
    return observer;
  }

  private void start(int[] prompt, int maxTokens, Observer observer) {
    SamplingParameters sampling =
        new SamplingParameters(0f, 0, 1f, 0f, 1f, 0f, 0f, Map.of(), 0, 0, 0, List.of(STOP), -1, -1);
    observer.sequence = scheduler.newSequence(prompt, NOTHING, sampling, maxTokens, "", observer);
    scheduler.add(observer.sequence);
  }

  private PlannedStep plan() {
    PlannedStep step = scheduler.plan();
    if (step == null) {
      throw new AssertionError("nothing was planned");
    }
    return step;
  }

  private void apply(PlannedStep step, int... tokens) {
    List<Sample> samples = new ArrayList<>();
    for (SequenceStep share : step.plan().sequences()) {
      if (share.sample()) {
        samples.add(new Sample(share.slot(), tokens[samples.size()], null));
      }
    }
    scheduler.apply(step, new StepResult(step.plan().step(), samples, List.of()));
  }

  private void runTogether(int steps) {
    for (int i = 0; i < steps; i++) {
      // Outputs differ, so that only the prompts' blocks could be shared.
      apply(plan(), 100 + i, 200 + i);
    }
  }

  private static SequenceStep share(PlannedStep step) {
    return step.plan().sequences().getFirst();
  }

  private static List<Integer> tokens(PlannedStep step) {
    return step.plan().sequences().stream().map(share -> share.tokens().count()).toList();
  }

  private static final class Observer implements SequenceObserver {
    private final List<Integer> tokens = new ArrayList<>();
    private @Nullable Ending ending;

    @SuppressWarnings("NullAway.Init")
    private Sequence sequence;

    @Override
    public void admitted() {}

    @Override
    public void promptScored(List<TokenLogprobs> scores) {}

    @Override
    public void sampled(int index, int token, @Nullable TokenLogprobs logprobs) {
      assertThat(index).isEqualTo(tokens.size());
      tokens.add(token);
    }

    @Override
    public void ended(Sequence ended, Ending how) {
      assertThat(ending).isNull();
      ending = how;
    }
  }
}
