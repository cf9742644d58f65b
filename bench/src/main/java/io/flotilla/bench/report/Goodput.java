package io.flotilla.bench.report;

import java.util.EnumMap;
import java.util.Map;

/**
 * What a request must keep to count as good, in milliseconds by metric; empty when nothing was
 * asked.
 */
public record Goodput(Map<Metric, Double> limits) {
  /**
   * @throws IllegalArgumentException for a metric without a goodput, or a negative limit
   */
  public Goodput {
    limits = Map.copyOf(limits);
    if (limits.containsKey(Metric.ITL)) {
      throw new IllegalArgumentException("goodput knows ttft, tpot and e2el, not itl");
    }
    if (limits.values().stream().anyMatch(limit -> !(limit >= 0))) {
      throw new IllegalArgumentException("goodput limits are milliseconds, 0 or more: " + limits);
    }
  }

  /** Whether a successful request with these latencies, in milliseconds, is good. */
  boolean accepts(EnumMap<Metric, Double> latencies) {
    return limits.entrySet().stream()
        .allMatch(limit -> latencies.getOrDefault(limit.getKey(), 0.0) <= limit.getValue());
  }
}
