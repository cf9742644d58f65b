package io.flotilla.bench.report;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.function.ToIntFunction;
import java.util.stream.DoubleStream;

/**
 * The figures of a run, each computed as {@code vllm bench serve} does.
 *
 * @param duration seconds of the whole run
 * @param outputTokens of each request, 0 for a failed one
 * @param latencies in milliseconds; TPOT of requests with at least two tokens alone
 * @param goodRequests successful requests within the goodput's limits
 * @param peakOutputThroughput token events in the busiest second of the run
 * @param peakConcurrency requests under way at once, at most
 */
public record ServeMetrics(
    double duration,
    int completed,
    int failed,
    long totalInputTokens,
    List<Integer> outputTokens,
    Map<Metric, Distribution> latencies,
    int goodRequests,
    double peakOutputThroughput,
    int peakConcurrency) {
  private static final double NANOS = 1e9;
  private static final double NANOS_PER_MILLI = 1e6;

  /**
   * @param outcomes of all requests
   * @param durationNanos of the whole run
   * @param tokenCount tokens of a text, for servers that report no usage
   */
  public static ServeMetrics of(
      List<RequestOutcome> outcomes,
      long durationNanos,
      Goodput goodput,
      ToIntFunction<String> tokenCount) {
    List<Integer> outputTokens =
        outcomes.stream().map(outcome -> outputTokens(outcome, tokenCount)).toList();
    EnumMap<Metric, List<Double>> values = new EnumMap<>(Metric.class);
    int good = 0;
    long input = 0;
    for (int i = 0; i < outcomes.size(); i++) {
      RequestOutcome outcome = outcomes.get(i);
      if (outcome.success()) {
        EnumMap<Metric, Double> latencies = latencies(outcome, outputTokens.get(i));
        latencies.forEach((metric, value) -> add(values, metric, value));
        for (long nanos : outcome.interTokenLatencies()) {
          add(values, Metric.ITL, nanos / NANOS_PER_MILLI);
        }
        good += goodput.accepts(latencies) ? 1 : 0;
        input += outcome.promptTokens();
      }
    }
    EnumMap<Metric, Distribution> distributions = new EnumMap<>(Metric.class);
    values.forEach(
        (metric, list) ->
            distributions.put(
                metric, new Distribution(list.stream().mapToDouble(Double::doubleValue))));
    List<RequestOutcome> successful = outcomes.stream().filter(RequestOutcome::success).toList();
    return new ServeMetrics(
        durationNanos / NANOS,
        successful.size(),
        outcomes.size() - successful.size(),
        input,
        outputTokens,
        distributions,
        good,
        peakThroughput(successful),
        peakConcurrency(successful));
  }

  private static void add(EnumMap<Metric, List<Double>> values, Metric metric, double value) {
    values.computeIfAbsent(metric, _ -> new ArrayList<>()).add(value);
  }

  private static int outputTokens(RequestOutcome outcome, ToIntFunction<String> tokenCount) {
    if (!outcome.success()) {
      return 0;
    }
    return outcome.outputTokens() > 0
        ? outcome.outputTokens()
        : tokenCount.applyAsInt(outcome.text());
  }

  /** TPOT is absent where a request had one token: nothing came after the first. */
  private static EnumMap<Metric, Double> latencies(RequestOutcome outcome, int outputTokens) {
    EnumMap<Metric, Double> latencies = new EnumMap<>(Metric.class);
    latencies.put(Metric.TTFT, outcome.timeToFirstToken() / NANOS_PER_MILLI);
    latencies.put(Metric.E2EL, outcome.latency() / NANOS_PER_MILLI);
    if (outputTokens > 1) {
      double decoding = outcome.latency() - outcome.timeToFirstToken();
      latencies.put(Metric.TPOT, decoding / (outputTokens - 1) / NANOS_PER_MILLI);
    }
    return latencies;
  }

  private static double peakThroughput(List<RequestOutcome> outcomes) {
    if (outcomes.isEmpty()) {
      return 0;
    }
    long first = outcomes.stream().mapToLong(RequestOutcome::start).min().orElseThrow();
    long last = outcomes.stream().mapToLong(RequestOutcome::end).max().orElseThrow();
    double[] seconds = new double[(int) Math.ceil((last - first) / NANOS) + 1];
    for (RequestOutcome outcome : outcomes) {
      long moment = outcome.start() - first + outcome.timeToFirstToken();
      seconds[(int) (moment / NANOS)]++;
      for (long gap : outcome.interTokenLatencies()) {
        moment += gap;
        seconds[(int) (moment / NANOS)]++;
      }
    }
    return DoubleStream.of(seconds).max().orElseThrow();
  }

  private static int peakConcurrency(List<RequestOutcome> outcomes) {
    long[] starts = outcomes.stream().mapToLong(RequestOutcome::start).sorted().toArray();
    long[] ends = outcomes.stream().mapToLong(RequestOutcome::end).sorted().toArray();
    int peak = 0;
    int ended = 0;
    for (int started = 0; started < starts.length; started++) {
      while (ends[ended] <= starts[started]) {
        ended++;
      }
      peak = Math.max(peak, started + 1 - ended);
    }
    return peak;
  }

  /** Tokens generated by all requests. */
  public long totalOutputTokens() {
    return outputTokens.stream().mapToLong(Integer::longValue).sum();
  }

  public double requestThroughput() {
    return completed / duration;
  }

  public double requestGoodput() {
    return goodRequests / duration;
  }

  public double outputThroughput() {
    return totalOutputTokens() / duration;
  }

  public double totalThroughput() {
    return (totalInputTokens + totalOutputTokens()) / duration;
  }

  /** The figures of one latency, in milliseconds. */
  public Distribution latency(Metric metric) {
    Distribution latency = latencies.get(metric);
    return latency == null ? new Distribution(Arrays.stream(new double[0])) : latency;
  }
}
