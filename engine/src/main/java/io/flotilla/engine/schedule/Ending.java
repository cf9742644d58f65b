package io.flotilla.engine.schedule;

/** How a sequence came to its end. */
public enum Ending {
  /** One of its stop tokens was sampled. */
  STOP,
  /** It has all the tokens it may have. */
  LENGTH,
  /** It was aborted. */
  ABORTED,
  /** The logits held no number to choose by. */
  INVALID_LOGITS
}
