package io.flotilla.bench.report;

/** A latency of requests, under the names of {@code vllm bench serve}. */
public enum Metric {
  /** From sending to the first token. */
  TTFT("ttft", "Time to First Token"),
  /** Mean time of a request's tokens after the first. */
  TPOT("tpot", "Time per Output Token (excl. 1st token)"),
  /** Between one token event and the next. */
  ITL("itl", "Inter-token Latency"),
  /** From sending to the last token. */
  E2EL("e2el", "End-to-end Latency");

  private final String key;
  private final String title;

  Metric(String key, String title) {
    this.key = key;
    this.title = title;
  }

  /** The name in options and JSON keys. */
  public String key() {
    return key;
  }

  /** The heading of its part of the table. */
  String title() {
    return title;
  }

  @Override
  public String toString() {
    return key;
  }
}
