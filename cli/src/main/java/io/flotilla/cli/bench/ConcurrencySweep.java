package io.flotilla.cli.bench;

import io.flotilla.bench.report.Metric;
import io.flotilla.bench.report.ServeMetrics;
import java.util.Locale;

/** Compares runs of different concurrency, a row each. */
final class ConcurrencySweep {
  private final StringBuilder rows = new StringBuilder();

  void add(int concurrency, ServeMetrics metrics) {
    rows.append(
        String.format(
            Locale.ROOT,
            "%11s %7d %10.2f %12.2f %10.2f %10.2f %10.2f %10.2f%n",
            concurrency == 0 ? "unbounded" : concurrency,
            metrics.failed(),
            metrics.requestThroughput(),
            metrics.outputThroughput(),
            metrics.latency(Metric.TTFT).mean(),
            metrics.latency(Metric.TTFT).percentile(99),
            metrics.latency(Metric.TPOT).mean(),
            metrics.latency(Metric.TPOT).percentile(99)));
  }

  String table() {
    return String.format(
            Locale.ROOT,
            "%11s %7s %10s %12s %10s %10s %10s %10s%n",
            "Concurrency",
            "Failed",
            "req/s",
            "output tok/s",
            "mean TTFT",
            "P99 TTFT",
            "mean TPOT",
            "P99 TPOT")
        + rows;
  }
}
