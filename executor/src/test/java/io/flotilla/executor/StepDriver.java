package io.flotilla.executor;

import io.flotilla.executor.StepPlan.Admission;
import io.flotilla.executor.StepPlan.SequenceStep;
import io.flotilla.executor.StepPlan.TokenInput;
import io.flotilla.executor.StepPlan.TokenInput.Known;
import io.flotilla.executor.StepPlan.TokenInput.PreviousSample;
import io.flotilla.executor.StepResult.PromptLogprobs;
import io.flotilla.executor.StepResult.Sample;
import io.flotilla.model.sampling.SamplingParameters;
import io.flotilla.model.sampling.TokenLogprobs;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;

/**
 * Runs sequences on an executor as an engine might: in random company and random chunks, with steps
 * in flight, preempted and resumed, on shared prefixes.
 */
final class StepDriver {
  private final Executor executor;
  private final Random random;
  private final ArrayDeque<InFlight> inFlight = new ArrayDeque<>();
  private final List<Sequence> sequences = new ArrayList<>();
  private int nextBlock;
  private long step;

  /** What is to be generated. */
  record Request(int[] prompt, int tokens, SamplingParameters sampling) {}

  /** What was generated. */
  record Generated(List<Sample> samples, List<TokenLogprobs> prompt) {
    int[] tokens() {
      return samples.stream().mapToInt(Sample::token).toArray();
    }
  }

  private record InFlight(List<Sequence> sampled, CompletableFuture<StepResult> result) {}

  private static final class Sequence {
    final int slot;
    final Request request;
    final List<Sample> samples = new ArrayList<>();
    final List<TokenLogprobs> prompt = new ArrayList<>();
    int[] blocks = {};
    boolean admitted;
    int computed;
    int planned;

    Sequence(int slot, Request request) {
      this.slot = slot;
      this.request = request;
    }

    /** Tokens known to the host: the prompt and what was sampled. */
    int[] history() {
      int[] history = Arrays.copyOf(request.prompt, request.prompt.length + samples.size());
      for (int i = 0; i < samples.size(); i++) {
        history[request.prompt.length + i] = samples.get(i).token();
      }
      return history;
    }

    boolean isPlanned() {
      return planned == request.tokens;
    }
  }

  private StepDriver(Executor executor, long seed) {
    this.executor = executor;
    this.random = new Random(seed);
  }

  /** Generates for up to as many requests as there are slots. */
  static List<Generated> run(Executor executor, List<Request> requests, long seed) {
    StepDriver driver = new StepDriver(executor, seed);
    for (int slot = 0; slot < requests.size(); slot++) {
      driver.sequences.add(new Sequence(slot, requests.get(slot)));
    }
    driver.run();
    return driver.sequences.stream().map(s -> new Generated(s.samples, s.prompt)).toList();
  }

  private void run() {
    while (sequences.stream().anyMatch(sequence -> !sequence.isPlanned())) {
      if (random.nextInt(12) == 0) {
        applyAll();
        preemptOne();
      }
      List<SequenceStep> steps = new ArrayList<>();
      List<Sequence> sampled = new ArrayList<>();
      int budget = 1 + random.nextInt(TinyModel.MAX_ROWS);
      for (Sequence sequence : sequences) {
        if (!sequence.isPlanned() && budget > 0 && random.nextInt(4) > 0) {
          SequenceStep planned = plan(sequence, budget);
          budget -= planned.tokens().count();
          steps.add(planned);
          if (planned.sample()) {
            sampled.add(sequence);
          }
        }
      }
      inFlight.add(new InFlight(sampled, executor.submit(new StepPlan(step++, steps))));
      if (inFlight.size() > executor.maxStepsInFlight()) {
        applyOldest();
      }
    }
    applyAll();
  }

  private SequenceStep plan(Sequence sequence, int budget) {
    Admission admission = null;
    int[] newBlocks = {};
    if (!sequence.admitted) {
      int[] history = sequence.history();
      int promptLength = sequence.request.prompt.length;
      admission = new Admission(history, promptLength, sequence.request.sampling);
      newBlocks = admit(sequence);
    }
    int known = sequence.request.prompt.length + sequence.samples.size();
    int left = known - sequence.computed;
    int count = Math.max(1, Math.min(left, 1 + random.nextInt(budget)));
    TokenInput tokens =
        left > 0
            ? new Known(
                Arrays.copyOfRange(
                    sequence.history(), sequence.computed, sequence.computed + count))
            : new PreviousSample();
    boolean sample = sequence.computed + count == sequence.request.prompt.length + sequence.planned;
    SequenceStep planned =
        new SequenceStep(sequence.slot, admission, sequence.computed, tokens, newBlocks, sample);
    sequence.computed += count;
    sequence.planned += sample ? 1 : 0;
    return planned;
  }

  /** Gives a sequence blocks: those of an equal prefix that another has computed, then new ones. */
  private int[] admit(Sequence sequence) {
    int[] blocks = new int[Math.ceilDiv(TinyModel.MAX_LENGTH, executor.blockSize())];
    int shared = 0;
    for (Sequence other : sequences) {
      int[] history = sequence.history();
      int common = other == sequence ? 0 : Arrays.mismatch(history, other.history());
      // The last token is computed anyway, since its logits are wanted.
      int usable = Math.min(common < 0 ? 0 : common, history.length - 1);
      int full = Math.min(usable, other.computed) / executor.blockSize();
      if (full > shared && other.admitted && sequence.request.sampling.promptLogprobs() < 0) {
        shared = full;
        System.arraycopy(other.blocks, 0, blocks, 0, shared);
      }
    }
    for (int i = shared; i < blocks.length; i++) {
      blocks[i] = nextBlock++;
    }
    sequence.admitted = true;
    sequence.blocks = blocks;
    sequence.computed = shared * executor.blockSize();
    return blocks;
  }

  private void preemptOne() {
    Sequence sequence = sequences.get(random.nextInt(sequences.size()));
    if (sequence.admitted && !sequence.samples.isEmpty() && !sequence.isPlanned()) {
      sequence.admitted = false;
      sequence.computed = 0;
    }
  }

  private void applyAll() {
    while (!inFlight.isEmpty()) {
      applyOldest();
    }
  }

  private void applyOldest() {
    InFlight oldest = inFlight.remove();
    StepResult result = oldest.result.join();
    for (int i = 0; i < oldest.sampled.size(); i++) {
      oldest.sampled.get(i).samples.add(result.samples().get(i));
    }
    for (PromptLogprobs scores : result.promptLogprobs()) {
      List<TokenLogprobs> known = sequences.get(scores.slot()).prompt;
      for (int i = 0; i < scores.tokens().size(); i++) {
        if (scores.firstPosition() + i == known.size() + 1) {
          known.add(scores.tokens().get(i));
        }
      }
    }
  }
}
