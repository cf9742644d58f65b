package io.flotilla.bench.report;

import org.jspecify.annotations.Nullable;

/**
 * What became of one request. Times are nanoseconds.
 *
 * @param start when it was sent, on the run's clock
 * @param promptTokens as the server counts them, else as the dataset does
 * @param outputTokens as the server counts them; 0 where it does not say
 * @param timeToFirstToken from sending to the first event with a choice
 * @param interTokenLatencies between one such event and the next
 * @param latency from sending to the last such event
 * @param text what was generated
 * @param error why it failed, or null
 */
public record RequestOutcome(
    long start,
    int promptTokens,
    int outputTokens,
    long timeToFirstToken,
    long[] interTokenLatencies,
    long latency,
    String text,
    @Nullable String error) {

  /** Whether a first token came and nothing went wrong. */
  public boolean success() {
    return error == null;
  }

  /** The moment of the last token. */
  public long end() {
    return start + latency;
  }
}
