package io.flotilla.bench.report;

import java.util.Collection;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Collectors;

/** The table that {@code vllm bench serve} prints. */
public final class ServeReport {
  private static final int WIDTH = 50;
  private static final int LISTED_ERRORS = 10;

  private final ServeMetrics metrics;
  private final StringBuilder out = new StringBuilder();

  private ServeReport(ServeMetrics metrics) {
    this.metrics = metrics;
  }

  /**
   * @param shown the latencies to show
   * @param percentiles of each, 0 to 100
   * @param goodput shown when it has limits
   * @param maxConcurrency of the run; 0 is unbounded
   * @param requestRate a second, possibly infinite
   */
  public static String of(
      ServeMetrics metrics,
      Collection<Metric> shown,
      List<Double> percentiles,
      Goodput goodput,
      int maxConcurrency,
      double requestRate) {
    ServeReport report = new ServeReport(metrics);
    report.counts(maxConcurrency, requestRate);
    report.throughput(goodput);
    for (Metric metric : Metric.values()) {
      if (shown.contains(metric)) {
        report.latency(metric, percentiles);
      }
    }
    report.out.append("=".repeat(WIDTH)).append('\n');
    return report.out.toString();
  }

  /** The reasons of failure with how often each came, most frequent first; empty without one. */
  public static String errors(List<RequestOutcome> outcomes) {
    Map<String, Long> counts =
        outcomes.stream()
            .map(RequestOutcome::error)
            .filter(Objects::nonNull)
            .collect(Collectors.groupingBy(error -> error, Collectors.counting()));
    return counts.entrySet().stream()
        .sorted(Map.Entry.<String, Long>comparingByValue().reversed())
        .limit(LISTED_ERRORS)
        .map(error -> error.getValue() + " failed: " + error.getKey() + "\n")
        .collect(Collectors.joining());
  }

  private void counts(int maxConcurrency, double requestRate) {
    title(" Serving Benchmark Result ", '=');
    row("Successful requests:", metrics.completed());
    row("Failed requests:", metrics.failed());
    if (maxConcurrency > 0) {
      row("Maximum request concurrency:", maxConcurrency);
    }
    if (Double.isFinite(requestRate)) {
      row("Request rate configured (RPS):", requestRate);
    }
    row("Benchmark duration (s):", metrics.duration());
    row("Total input tokens:", metrics.totalInputTokens());
    row("Total generated tokens:", metrics.totalOutputTokens());
  }

  private void throughput(Goodput goodput) {
    row("Request throughput (req/s):", metrics.requestThroughput());
    if (!goodput.limits().isEmpty()) {
      row("Request goodput (req/s):", metrics.requestGoodput());
    }
    row("Output token throughput (tok/s):", metrics.outputThroughput());
    row("Peak output token throughput (tok/s):", metrics.peakOutputThroughput());
    row("Peak concurrent requests:", (double) metrics.peakConcurrency());
    row("Total token throughput (tok/s):", metrics.totalThroughput());
  }

  private void latency(Metric metric, List<Double> percentiles) {
    Distribution latency = metrics.latency(metric);
    String name = metric.key().toUpperCase(Locale.ROOT);
    title(metric.title(), '-');
    row("Mean " + name + " (ms):", latency.mean());
    row("Median " + name + " (ms):", latency.median());
    for (double percent : percentiles) {
      row("P" + percentLabel(percent) + " " + name + " (ms):", latency.percentile(percent));
    }
  }

  /** {@code 99} or {@code 99.9}. */
  static String percentLabel(double percent) {
    return percent == (long) percent ? Long.toString((long) percent) : Double.toString(percent);
  }

  private void title(String text, char fill) {
    int left = (WIDTH - text.length()) / 2;
    String line = Character.toString(fill).repeat(WIDTH);
    out.append(line, 0, left).append(text).append(line, left + text.length(), WIDTH).append('\n');
  }

  private void row(String name, long value) {
    out.append(String.format(Locale.ROOT, "%-40s %-10d%n", name, value));
  }

  private void row(String name, double value) {
    String digits = String.format(Locale.ROOT, "%.2f", value);
    out.append(String.format(Locale.ROOT, "%-40s %-10s%n", name, digits));
  }
}
