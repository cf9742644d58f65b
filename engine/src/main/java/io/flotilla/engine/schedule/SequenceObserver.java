package io.flotilla.engine.schedule;

import io.flotilla.model.sampling.TokenLogprobs;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Told what becomes of one sequence, in order, by the scheduler's thread. Must not throw. */
public interface SequenceObserver {
  /** It got a slot for the first time. */
  void admitted();

  /** The log-probabilities of its prompt are complete. Comes before the first token. */
  void promptScored(List<TokenLogprobs> tokens);

  /**
   * It grew by a token.
   *
   * @param index of the token in the output, from 0
   */
  void sampled(int index, int token, @Nullable TokenLogprobs logprobs);

  /** It ended; nothing follows. */
  void ended(Sequence sequence, Ending ending);
}
