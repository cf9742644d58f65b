package io.flotilla.bench.report;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.node.ObjectNode;

class ServeMetricsTest {
  private static final long MILLI = 1_000_000;
  private static final Goodput NO_GOODPUT = new Goodput(Map.of());

  private final List<RequestOutcome> outcomes =
      List.of(
          outcome(0, 3, 100, new long[] {10 * MILLI, 30 * MILLI}, null),
          outcome(50 * MILLI, 1, 200, new long[0], null),
          outcome(60 * MILLI, 0, 0, new long[0], "HTTP 500: broken"));

  private static RequestOutcome outcome(
      long start, int tokens, long ttftMillis, long[] gaps, @Nullable String error) {
    long latency = ttftMillis * MILLI;
    for (long gap : gaps) {
      latency += gap;
    }
    return new RequestOutcome(start, 7, tokens, ttftMillis * MILLI, gaps, latency, "a b", error);
  }

  private ServeMetrics metrics(Goodput goodput) {
    return ServeMetrics.of(outcomes, 2_000 * MILLI, goodput, text -> text.split(" ").length);
  }

  @Test
  void computesWhatVllmComputes() {
    ServeMetrics metrics = metrics(NO_GOODPUT);

    assertThat(metrics.completed()).isEqualTo(2);
    assertThat(metrics.failed()).isEqualTo(1);
    assertThat(metrics.totalInputTokens()).isEqualTo(14);
    assertThat(metrics.totalOutputTokens()).isEqualTo(4);
    assertThat(metrics.requestThroughput()).isEqualTo(1.0);
    assertThat(metrics.outputThroughput()).isEqualTo(2.0);
    assertThat(metrics.totalThroughput()).isEqualTo(9.0);
    assertThat(metrics.latency(Metric.TTFT).mean()).isCloseTo(150, within(1e-9));
    // The request of one token has no time per output token.
    assertThat(metrics.latency(Metric.TPOT).mean()).isCloseTo(20, within(1e-9));
    assertThat(metrics.latency(Metric.ITL).median()).isCloseTo(20, within(1e-9));
    assertThat(metrics.latency(Metric.E2EL).percentile(99)).isCloseTo(199.4, within(1e-9));
    assertThat(metrics.peakOutputThroughput()).isEqualTo(4.0);
    assertThat(metrics.peakConcurrency()).isEqualTo(2);
  }

  @Test
  void countsTheTextWhereTheServerReportsNoUsage() {
    List<RequestOutcome> unreported = List.of(outcome(0, 0, 5, new long[] {MILLI}, null));

    ServeMetrics metrics =
        ServeMetrics.of(unreported, MILLI, NO_GOODPUT, text -> text.split(" ").length);

    assertThat(metrics.totalOutputTokens()).isEqualTo(2);
  }

  @Test
  void aRequestThatStartsAsAnotherEndsIsNotConcurrentWithIt() {
    List<RequestOutcome> oneAfterTheOther =
        List.of(
            outcome(0, 1, 10, new long[0], null), outcome(10 * MILLI, 1, 10, new long[0], null));

    assertThat(
            ServeMetrics.of(oneAfterTheOther, MILLI, NO_GOODPUT, String::length).peakConcurrency())
        .isEqualTo(1);
  }

  @Test
  void goodputCountsRequestsThatKeepEveryLimit() {
    Goodput goodput = new Goodput(Map.of(Metric.TTFT, 150.0, Metric.TPOT, 20.0));

    assertThat(metrics(goodput).requestGoodput()).isEqualTo(0.5);
    assertThat(metrics(new Goodput(Map.of(Metric.TPOT, 0.0))).goodRequests()).isEqualTo(1);
    assertThatThrownBy(() -> new Goodput(Map.of(Metric.TTFT, Double.NaN)))
        .hasMessageContaining("NaN");
  }

  @Test
  void printsVllmsTable() {
    String table =
        ServeReport.of(
            metrics(NO_GOODPUT), Set.of(Metric.TTFT, Metric.TPOT), List.of(99.0), NO_GOODPUT, 8, 4);

    assertThat(table.lines().map(String::stripTrailing))
        .containsExactly(
            "============ Serving Benchmark Result ============",
            "Successful requests:                     2",
            "Failed requests:                         1",
            "Maximum request concurrency:             8",
            "Request rate configured (RPS):           4.00",
            "Benchmark duration (s):                  2.00",
            "Total input tokens:                      14",
            "Total generated tokens:                  4",
            "Request throughput (req/s):              1.00",
            "Output token throughput (tok/s):         2.00",
            "Peak output token throughput (tok/s):    4.00",
            "Peak concurrent requests:                2.00",
            "Total token throughput (tok/s):          9.00",
            "---------------Time to First Token----------------",
            "Mean TTFT (ms):                          150.00",
            "Median TTFT (ms):                        150.00",
            "P99 TTFT (ms):                           199.00",
            "-----Time per Output Token (excl. 1st token)------",
            "Mean TPOT (ms):                          20.00",
            "Median TPOT (ms):                        20.00",
            "P99 TPOT (ms):                           20.00",
            "==================================================");
  }

  @Test
  void writesVllmsKeys() {
    ObjectNode json = ServeJson.of(metrics(NO_GOODPUT), outcomes, List.of(99.0, 99.9), NO_GOODPUT);

    assertThat(json.propertyNames())
        .contains("duration", "completed", "failed", "total_input_tokens", "total_output_tokens")
        .contains("request_throughput", "output_throughput", "total_token_throughput")
        .contains("mean_ttft_ms", "median_tpot_ms", "std_itl_ms", "p99_e2el_ms", "p99.9_ttft_ms")
        .contains("ttfts", "itls", "errors");
    assertThat(json.path("ttfts").path(0).asDouble()).isEqualTo(0.1);
    assertThat(json.path("itls").path(0).path(1).asDouble()).isEqualTo(0.03);
    assertThat(json.path("errors").path(2).asString()).isEqualTo("HTTP 500: broken");
  }

  @Test
  void groupsErrors() {
    assertThat(ServeReport.errors(outcomes)).isEqualTo("1 failed: HTTP 500: broken\n");
  }
}
