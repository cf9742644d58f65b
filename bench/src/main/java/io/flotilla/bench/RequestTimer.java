package io.flotilla.bench;

import io.flotilla.bench.client.Chunk;
import io.flotilla.bench.report.RequestOutcome;
import java.util.Arrays;
import java.util.function.Consumer;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/**
 * Takes the times of one request. Whatever carries a choice counts as a token event, whether it
 * brings text or not; an event of usage alone does not.
 */
final class RequestTimer implements Consumer<Chunk> {
  private final LongSupplier clock;
  private final long start;
  private final StringBuilder text = new StringBuilder();
  private long firstToken;
  private long lastToken;
  private long[] gaps = new long[128];
  private int events;
  private int promptTokens;
  private int outputTokens;
  private @Nullable String error;

  /**
   * @param clock nanoseconds; read once now, as the request is sent
   * @param promptTokens where the server reports none
   */
  RequestTimer(LongSupplier clock, int promptTokens) {
    this.clock = clock;
    this.promptTokens = promptTokens;
    this.start = clock.getAsLong();
  }

  @Override
  public synchronized void accept(Chunk chunk) {
    if (chunk.hasChoices()) {
      tokenArrived(clock.getAsLong());
      text.append(chunk.text());
    }
    if (chunk.completionTokens() > 0) {
      promptTokens = chunk.promptTokens();
      outputTokens = chunk.completionTokens();
    }
    if (chunk.error() != null) {
      error = chunk.error();
    }
  }

  private void tokenArrived(long now) {
    if (events == 0) {
      firstToken = now;
    } else {
      if (events > gaps.length) {
        gaps = Arrays.copyOf(gaps, 2 * gaps.length);
      }
      gaps[events - 1] = now - lastToken;
    }
    lastToken = now;
    events++;
  }

  /**
   * @param failure why the request failed, or null when it came to its end
   */
  synchronized RequestOutcome finish(@Nullable String failure) {
    String cause = failure == null ? error : failure;
    if (cause == null && events == 0) {
      cause = "the stream ended without a token";
    }
    return new RequestOutcome(
        start,
        promptTokens,
        outputTokens,
        events == 0 ? 0 : firstToken - start,
        Arrays.copyOf(gaps, Math.max(0, events - 1)),
        events == 0 ? 0 : lastToken - start,
        text.toString(),
        cause);
  }
}
