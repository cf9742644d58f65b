package io.flotilla.executor;

import io.flotilla.executor.StepPlan.Admission;
import io.flotilla.model.sampling.Sampler;
import io.flotilla.model.sampling.SamplingParameters;
import io.flotilla.model.sampling.TokenCounts;
import java.util.Arrays;

/** What a rank keeps of a sequence between steps. */
final class Slot {
  private static final int[] NO_HISTORY = {};

  private int[] blocks = new int[16];
  private int blockCount;
  private SamplingParameters sampling = SamplingParameters.greedy();
  private TokenCounts counts = new TokenCounts();
  private boolean counting;
  private int[] prompt = NO_HISTORY;
  private int promptLength;
  private int generated;
  private int lastSample;
  private boolean sampleOnDevice;
  private int admissions;
  private int awaitedSamples;

  /** Forgets the sequence before and takes another. */
  void admit(Admission admission) {
    int[] history = admission.history();
    promptLength = admission.promptLength();
    sampling = admission.sampling();
    blockCount = 0;
    generated = history.length - promptLength;
    lastSample = 0;
    sampleOnDevice = false;
    admissions++;
    awaitedSamples = 0;
    counting = Sampler.penalises(sampling);
    counts = new TokenCounts();
    if (counting) {
      for (int i = 0; i < promptLength; i++) {
        counts.addPrompt(history[i]);
      }
      for (int i = promptLength; i < history.length; i++) {
        counts.addOutput(history[i]);
      }
    }
    prompt = sampling.promptLogprobs() < 0 ? NO_HISTORY : Arrays.copyOf(history, promptLength);
  }

  void appendBlocks(int[] newBlocks) {
    if (blockCount + newBlocks.length > blocks.length) {
      blocks = Arrays.copyOf(blocks, Math.max(2 * blocks.length, blockCount + newBlocks.length));
    }
    System.arraycopy(newBlocks, 0, blocks, blockCount, newBlocks.length);
    blockCount += newBlocks.length;
  }

  int blockCount() {
    return blockCount;
  }

  /** Writes the block table from {@code index}. */
  void copyBlocks(StagedIntegers target, int index) {
    target.set(index, blocks, blockCount);
  }

  SamplingParameters sampling() {
    return sampling;
  }

  TokenCounts counts() {
    return counts;
  }

  /** Whether penalties count the sequence's tokens. */
  boolean isCounting() {
    return counting;
  }

  int promptLength() {
    return promptLength;
  }

  /** Index of the next token in the sequence's output. */
  int nextIndex() {
    return generated;
  }

  /** The token sampled last; a valid id even when there was none to sample. */
  int lastSample() {
    return lastSample;
  }

  /** The prompt whose log-probabilities were asked for; else empty. */
  int[] scoredPrompt() {
    return prompt;
  }

  /** Counts the sequences this slot has had, to tell them apart. */
  int admissions() {
    return admissions;
  }

  /** Another rank samples a token, which is still to come. */
  void awaitSample() {
    awaitedSamples++;
  }

  boolean isSampleAwaited() {
    return awaitedSamples > 0;
  }

  /** A token that was awaited has come; negative when there was none to sample. */
  void receiveSample(int token) {
    awaitedSamples--;
    lastSample = Math.max(token, 0);
  }

  /** The device sampled a token, which the host need not see: the device counts it. */
  void sampledOnDevice() {
    generated++;
    sampleOnDevice = true;
  }

  /** Whether the device alone knows the token sampled last. */
  boolean isSampleOnDevice() {
    return sampleOnDevice;
  }

  /** A token was sampled; {@link Sampler#NONE} when there was none to sample. */
  void sampled(int token) {
    generated++;
    sampleOnDevice = false;
    lastSample = Math.max(token, 0);
    if (counting && token != Sampler.NONE) {
      counts.addOutput(token);
    }
  }
}
