package io.flotilla.server.openai;

import java.util.ArrayList;
import java.util.List;

/** Hears of choices and keeps what it hears. */
final class Endings implements RequestListener {
  private final List<String> reasons = new ArrayList<>();
  private int firstTokens;
  private int nextTokens;

  synchronized List<String> reasons() {
    return List.copyOf(reasons);
  }

  synchronized int firstTokens() {
    return firstTokens;
  }

  synchronized int nextTokens() {
    return nextTokens;
  }

  @Override
  public synchronized void firstToken(long nanos) {
    firstTokens++;
  }

  @Override
  public synchronized void nextToken(long nanos) {
    nextTokens++;
  }

  @Override
  public synchronized void ended(String reason, long nanos) {
    reasons.add(reason);
  }
}
