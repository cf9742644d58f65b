package io.flotilla.engine;

import io.flotilla.executor.Executor;
import io.flotilla.executor.StepPlan;
import io.flotilla.executor.StepPlan.Admission;
import io.flotilla.executor.StepPlan.SequenceStep;
import io.flotilla.executor.StepPlan.TokenInput.Known;
import io.flotilla.executor.StepPlan.TokenInput.PreviousSample;
import io.flotilla.executor.StepResult;
import io.flotilla.executor.StepResult.PromptLogprobs;
import io.flotilla.executor.StepResult.Sample;
import io.flotilla.executor.Topology;
import io.flotilla.model.sampling.TokenLogprobs;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.jspecify.annotations.Nullable;

/**
 * An executor whose model is a hash. Its KV cache stores tokens: a step writes those it computes
 * where the block table says, and a sample is a function of everything read back through the table,
 * so a block that is shared, reused or forgotten wrongly changes the output. It refuses plans that
 * no rank could run.
 */
final class FakeExecutor implements Executor {
  static final int VOCABULARY = 1000;

  /** Everything a rank keeps of a slot. */
  private static final class Slot {
    private final List<Integer> blocks = new ArrayList<>();
    private Admission admission = new Admission(new int[0], 0, Submits.greedy());
    private int computed;
    private int samples;
    private int lastSample = -1;
  }

  private final int blockSize;
  private final int maxSequences;
  private final int maxStepsInFlight;
  private final int[][] cache;
  private final List<Slot> slots = new ArrayList<>();
  private final List<StepPlan> plans = new ArrayList<>();
  private long progress;
  private int invalidToken = -1;
  private int failingStep = -1;
  private volatile @Nullable Throwable failure;
  private boolean closed;

  FakeExecutor(int blocks, int blockSize, int maxSequences, int maxStepsInFlight) {
    this.blockSize = blockSize;
    this.maxSequences = maxSequences;
    this.maxStepsInFlight = maxStepsInFlight;
    this.cache = new int[blocks][blockSize];
    for (int i = 0; i < maxSequences; i++) {
      slots.add(new Slot());
    }
  }

  /** The token that follows a context, by the same function as in a step. */
  static int next(int[] context, int length, int index, long seed) {
    long hash = seed + index;
    for (int i = 0; i < length; i++) {
      hash = (hash ^ context[i]) * 0x9E3779B97F4A7C15L;
      hash ^= hash >>> 29;
    }
    return (int) Math.floorMod(hash, (long) VOCABULARY);
  }

  /** From now on a sample of this token is reported as logits that are not numbers. */
  void makeInvalid(int token) {
    invalidToken = token;
  }

  void failAtStep(int step) {
    failingStep = step;
  }

  /** Fails without a step; any thread. */
  void fail(Throwable cause) {
    failure = cause;
  }

  List<StepPlan> plans() {
    return plans;
  }

  boolean isClosed() {
    return closed;
  }

  @Override
  public CompletableFuture<StepResult> submit(StepPlan plan) {
    require(plan.step() == plans.size(), "steps count up by one");
    plans.add(plan);
    if (plan.step() == failingStep) {
      failure = new IllegalStateException("rank 0 lost its device");
    }
    Throwable cause = failure;
    return cause == null
        ? CompletableFuture.completedFuture(run(plan))
        : CompletableFuture.failedFuture(cause);
  }

  private StepResult run(StepPlan plan) {
    long distinct = plan.sequences().stream().map(SequenceStep::slot).distinct().count();
    require(distinct == plan.sequences().size(), "a slot has one share of a step");
    plan.sequences().forEach(this::store);
    requireUnsharedWrites(plan.sequences());
    List<Sample> samples = new ArrayList<>();
    List<PromptLogprobs> scores = new ArrayList<>();
    for (SequenceStep share : plan.sequences()) {
      score(share, scores);
      slots.get(share.slot()).computed += share.tokens().count();
      if (share.sample()) {
        samples.add(sample(share.slot()));
      }
    }
    progress++;
    return new StepResult(plan.step(), samples, scores);
  }

  private void store(SequenceStep share) {
    Slot slot = slots.get(share.slot());
    Admission admission = share.admission();
    if (admission != null) {
      slot.blocks.clear();
      slot.admission = admission;
      slot.computed = share.computed();
      slot.samples = 0;
      slot.lastSample = -1;
    }
    require(share.computed() == slot.computed, "positions are contiguous");
    Arrays.stream(share.newBlocks()).forEach(slot.blocks::add);
    int[] ids =
        switch (share.tokens()) {
          case Known(int[] known) -> known;
          case PreviousSample() -> new int[] {slot.lastSample};
        };
    require(ids.length > 0, "a share has tokens");
    require(
        share.computed() + ids.length <= slot.blocks.size() * blockSize, "blocks hold the share");
    for (int i = 0; i < ids.length; i++) {
      int position = share.computed() + i;
      require(ids[i] == expectedAt(slot, position), "tokens are those of the sequence");
      cache[slot.blocks.get(position / blockSize)][position % blockSize] = ids[i];
    }
  }

  /** The token that belongs at a position, as far as the slot knows. */
  private static int expectedAt(Slot slot, int position) {
    int[] history = slot.admission.history();
    int last = history.length + slot.samples - 1;
    require(position <= last, "tokens exist");
    return position < history.length ? history[position] : slot.lastSample;
  }

  private void requireUnsharedWrites(List<SequenceStep> shares) {
    for (SequenceStep writer : shares) {
      List<Integer> written = slots.get(writer.slot()).blocks;
      int first = writer.computed() / blockSize;
      int last = (writer.computed() + writer.tokens().count() - 1) / blockSize;
      for (SequenceStep other : shares) {
        List<Integer> read = slots.get(other.slot()).blocks;
        for (int i = first; i <= last && other.slot() != writer.slot(); i++) {
          // Who is ahead in a shared prefix reads what the writer stores in this step.
          boolean prefix =
              i < read.size()
                  && read.get(i).equals(written.get(i))
                  && other.computed() >= (i + 1) * blockSize;
          require(prefix || !read.contains(written.get(i)), "a block has one writer");
        }
      }
    }
  }

  private void score(SequenceStep share, List<PromptLogprobs> scores) {
    Admission admission = slots.get(share.slot()).admission;
    if (admission.sampling().promptLogprobs() < 0) {
      return;
    }
    List<TokenLogprobs> tokens = new ArrayList<>();
    int end = share.computed() + share.tokens().count();
    for (int i = share.computed() + 1; i <= end && i < admission.promptLength(); i++) {
      tokens.add(new TokenLogprobs(admission.history()[i], -i, 1, new int[0], new float[0]));
    }
    if (!tokens.isEmpty()) {
      scores.add(new PromptLogprobs(share.slot(), share.computed() + 1, tokens));
    }
  }

  private Sample sample(int number) {
    Slot slot = slots.get(number);
    int[] context = new int[slot.computed];
    for (int i = 0; i < context.length; i++) {
      context[i] = cache[slot.blocks.get(i / blockSize)][i % blockSize];
    }
    int[] history = slot.admission.history();
    require(context.length == history.length + slot.samples, "the last token is computed");
    int index = context.length - slot.admission.promptLength();
    slot.lastSample = next(context, context.length, index, slot.admission.sampling().seed());
    slot.samples++;
    boolean invalid = slot.lastSample == invalidToken;
    return new Sample(number, invalid ? Sample.INVALID : slot.lastSample, null);
  }

  private static void require(boolean condition, String rule) {
    if (!condition) {
      throw new AssertionError("broken rule: " + rule);
    }
  }

  /** A stage fewer than steps in flight, as executors have it. */
  @Override
  public Topology topology() {
    return new Topology(1, Math.max(1, maxStepsInFlight - 1), 1, 1, 1, false);
  }

  @Override
  public int kvBlocks() {
    return cache.length;
  }

  @Override
  public int blockSize() {
    return blockSize;
  }

  @Override
  public int maxSequences() {
    return maxSequences;
  }

  @Override
  public int maxStepsInFlight() {
    return maxStepsInFlight;
  }

  @Override
  public long progress() {
    return progress;
  }

  @Override
  public long[] busyNanos() {
    return new long[topology().pipeline()];
  }

  @Override
  public @Nullable Throwable failure() {
    return failure;
  }

  @Override
  public void close() {
    closed = true;
  }
}
