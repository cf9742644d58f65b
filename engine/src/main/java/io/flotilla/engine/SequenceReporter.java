package io.flotilla.engine;

import io.flotilla.engine.EngineCommand.Submit;
import io.flotilla.engine.EngineListener.SequenceTimes;
import io.flotilla.engine.TokenEvent.Failed;
import io.flotilla.engine.TokenEvent.FailureCode;
import io.flotilla.engine.TokenEvent.FinishReason;
import io.flotilla.engine.TokenEvent.Finished;
import io.flotilla.engine.TokenEvent.PromptScored;
import io.flotilla.engine.TokenEvent.Token;
import io.flotilla.engine.schedule.Ending;
import io.flotilla.engine.schedule.Sequence;
import io.flotilla.engine.schedule.SequenceObserver;
import io.flotilla.model.sampling.TokenLogprobs;
import java.util.List;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Turns what becomes of one sequence into events for its sink, and keeps its times. */
final class SequenceReporter implements SequenceObserver {
  private static final Logger LOG = LoggerFactory.getLogger(SequenceReporter.class);

  /** What the engine wants to know of its sequences. */
  interface Owner {
    /** The sequence had its last event. */
    void ended(long id);

    /** The sink threw; the sequence gets no further events. */
    void sinkFailed(long id);
  }

  private final long id;
  private final TokenSink sink;
  private final Owner owner;
  private final EngineListener listener;
  private final LongSupplier clock;
  private final long arrived;
  private long admitted;
  private long firstToken;
  private boolean hasToken;
  private boolean sinkBroken;

  /**
   * @param arrived when it came to the engine, by {@code clock}
   */
  SequenceReporter(
      Submit submit, long arrived, LongSupplier clock, EngineListener listener, Owner owner) {
    this.id = submit.id();
    this.sink = submit.sink();
    this.arrived = arrived;
    this.clock = clock;
    this.listener = listener;
    this.owner = owner;
  }

  @Override
  public void admitted() {
    admitted = clock.getAsLong();
  }

  @Override
  public void promptScored(List<TokenLogprobs> tokens) {
    deliver(new PromptScored(id, tokens));
  }

  @Override
  public void sampled(int index, int token, @Nullable TokenLogprobs logprobs) {
    if (!hasToken) {
      hasToken = true;
      firstToken = clock.getAsLong();
    }
    deliver(new Token(id, index, token, logprobs));
  }

  @Override
  public void ended(Sequence sequence, Ending ending) {
    if (hasToken) {
      listener.sequenceEnded(
          new SequenceTimes(
              admitted - arrived, firstToken - admitted, clock.getAsLong() - firstToken));
    }
    owner.ended(id);
    switch (ending) {
      case STOP -> deliver(finished(sequence, FinishReason.STOP));
      case LENGTH -> deliver(finished(sequence, FinishReason.LENGTH));
      case ABORTED -> deliver(finished(sequence, FinishReason.ABORT));
      case INVALID_LOGITS ->
          deliver(
              new Failed(
                  id,
                  FailureCode.INVALID_LOGITS,
                  "the model's logits for token %d were not numbers"
                      .formatted(sequence.generatedTokens())));
    }
  }

  /** Ends the sequence with a failure that is not its own. */
  void failed(FailureCode code, String message) {
    owner.ended(id);
    deliver(new Failed(id, code, message));
  }

  private Finished finished(Sequence sequence, FinishReason reason) {
    return new Finished(
        id, reason, sequence.promptLength(), sequence.cachedTokens(), sequence.generatedTokens());
  }

  private void deliver(TokenEvent event) {
    if (!sinkBroken && !tell(sink, event)) {
      sinkBroken = true;
      owner.sinkFailed(id);
    }
  }

  /**
   * Gives a sink an event. Whatever it throws is logged and goes no further, because others are to
   * be served.
   *
   * @return whether it took the event
   */
  static boolean tell(TokenSink sink, TokenEvent event) {
    try {
      sink.accept(event);
      return true;
    } catch (RuntimeException | Error cause) {
      LOG.error("The sink of sequence {} failed; the sequence is aborted", event.id(), cause);
      return false;
    }
  }
}
