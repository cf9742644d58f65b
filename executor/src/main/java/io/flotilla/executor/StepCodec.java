package io.flotilla.executor;

import io.flotilla.executor.StepPlan.Admission;
import io.flotilla.executor.StepPlan.SequenceStep;
import io.flotilla.executor.StepPlan.TokenInput;
import io.flotilla.executor.StepPlan.TokenInput.Known;
import io.flotilla.executor.StepPlan.TokenInput.PreviousSample;
import io.flotilla.executor.StepResult.PromptLogprobs;
import io.flotilla.executor.StepResult.Sample;
import io.flotilla.executor.wire.Frame;
import io.flotilla.executor.wire.NodeException;
import io.flotilla.executor.wire.SamplingCodec;
import io.flotilla.model.sampling.TokenLogprobs;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Plans and results as bytes, field by field in the order of the records. A change of a record is a
 * change here and a new {@link io.flotilla.executor.wire.Hello#PROTOCOL}.
 */
final class StepCodec {
  private static final byte KNOWN = 0;
  private static final byte PREVIOUS_SAMPLE = 1;

  /** The least that a thing of a list takes, so that no count is believed that cannot be. */
  private static final int LEAST_BYTES = 4;

  private StepCodec() {}

  static void write(StepPlan plan, Frame to) {
    to.put(plan.step()).put(plan.sequences().size());
    for (SequenceStep sequence : plan.sequences()) {
      write(sequence, to);
    }
  }

  private static void write(SequenceStep sequence, Frame to) {
    to.put(sequence.slot());
    Admission admission = sequence.admission();
    to.put(admission != null);
    if (admission != null) {
      to.put(admission.history()).put(admission.promptLength());
      SamplingCodec.write(admission.sampling(), to);
    }
    to.put(sequence.computed());
    switch (sequence.tokens()) {
      case Known(int[] ids) -> to.put(KNOWN).put(ids);
      case PreviousSample() -> to.put(PREVIOUS_SAMPLE);
    }
    to.put(sequence.newBlocks()).put(sequence.sample());
  }

  /**
   * @throws NodeException when it is no plan
   */
  static StepPlan readPlan(Frame from) {
    long step = from.getLong();
    int count = from.getCount(LEAST_BYTES);
    List<SequenceStep> sequences = new ArrayList<>(count);
    for (int i = 0; i < count; i++) {
      sequences.add(readSequence(from));
    }
    requireEnd(from);
    return new StepPlan(step, sequences);
  }

  private static SequenceStep readSequence(Frame from) {
    return new SequenceStep(
        from.getInt(),
        from.getBoolean() ? readAdmission(from) : null,
        from.getInt(),
        readTokens(from),
        from.getInts(),
        from.getBoolean());
  }

  private static Admission readAdmission(Frame from) {
    return new Admission(from.getInts(), from.getInt(), SamplingCodec.readSampling(from));
  }

  private static TokenInput readTokens(Frame from) {
    byte kind = from.getByte();
    return switch (kind) {
      case KNOWN -> new Known(from.getInts());
      case PREVIOUS_SAMPLE -> new PreviousSample();
      default -> throw new NodeException("a plan has tokens of kind " + kind);
    };
  }

  static void write(StepResult result, Frame to) {
    to.put(result.step()).put(result.samples().size());
    for (Sample sample : result.samples()) {
      to.put(sample.slot()).put(sample.token());
      write(sample.logprobs(), to);
    }
    to.put(result.promptLogprobs().size());
    for (PromptLogprobs prompt : result.promptLogprobs()) {
      to.put(prompt.slot()).put(prompt.firstPosition()).put(prompt.tokens().size());
      prompt.tokens().forEach(token -> write(token, to));
    }
  }

  private static void write(@Nullable TokenLogprobs token, Frame to) {
    to.put(token != null);
    if (token != null) {
      SamplingCodec.write(token, to);
    }
  }

  /**
   * @throws NodeException when it is no result
   */
  static StepResult readResult(Frame from) {
    long step = from.getLong();
    int count = from.getCount(LEAST_BYTES);
    List<Sample> samples = new ArrayList<>(count);
    for (int i = 0; i < count; i++) {
      samples.add(new Sample(from.getInt(), from.getInt(), readLogprobs(from)));
    }
    int prompts = from.getCount(LEAST_BYTES);
    List<PromptLogprobs> promptLogprobs = new ArrayList<>(prompts);
    for (int i = 0; i < prompts; i++) {
      promptLogprobs.add(new PromptLogprobs(from.getInt(), from.getInt(), readTokenList(from)));
    }
    requireEnd(from);
    return new StepResult(step, samples, promptLogprobs);
  }

  private static List<TokenLogprobs> readTokenList(Frame from) {
    int count = from.getCount(1);
    List<TokenLogprobs> tokens = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      TokenLogprobs token = readLogprobs(from);
      if (token == null) {
        throw new NodeException("a result lacks the log-probabilities of a token");
      }
      tokens.add(token);
    }
    return tokens;
  }

  private static @Nullable TokenLogprobs readLogprobs(Frame from) {
    return from.getBoolean() ? SamplingCodec.readLogprobs(from) : null;
  }

  private static void requireEnd(Frame from) {
    if (from.remaining() > 0) {
      throw new NodeException("a frame has " + from.remaining() + " bytes too many");
    }
  }
}
