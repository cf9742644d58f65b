package io.flotilla.bench.report;

import java.util.List;
import java.util.Objects;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** A run as JSON, under the keys of {@code vllm bench serve --save-result}; times in seconds. */
public final class ServeJson {
  private static final double NANOS = 1e9;

  private ServeJson() {}

  /**
   * @param percentiles of each latency, 0 to 100
   * @param goodput reported when it has limits
   */
  public static ObjectNode of(
      ServeMetrics metrics,
      List<RequestOutcome> outcomes,
      List<Double> percentiles,
      Goodput goodput) {
    ObjectNode json = JsonMapper.shared().createObjectNode();
    json.put("duration", metrics.duration());
    json.put("completed", metrics.completed());
    json.put("failed", metrics.failed());
    json.put("total_input_tokens", metrics.totalInputTokens());
    json.put("total_output_tokens", metrics.totalOutputTokens());
    json.put("request_throughput", metrics.requestThroughput());
    if (goodput.limits().isEmpty()) {
      json.putNull("request_goodput");
    } else {
      json.put("request_goodput", metrics.requestGoodput());
    }
    json.put("output_throughput", metrics.outputThroughput());
    json.put("total_token_throughput", metrics.totalThroughput());
    json.put("max_output_tokens_per_s", metrics.peakOutputThroughput());
    json.put("max_concurrent_requests", metrics.peakConcurrency());
    for (Metric metric : Metric.values()) {
      latency(json, metric, metrics.latency(metric), percentiles);
    }
    requests(json, metrics, outcomes);
    return json;
  }

  private static void latency(
      ObjectNode json, Metric metric, Distribution latency, List<Double> percentiles) {
    String suffix = "_" + metric.key() + "_ms";
    json.put("mean" + suffix, latency.mean());
    json.put("median" + suffix, latency.median());
    json.put("std" + suffix, latency.standardDeviation());
    for (double percent : percentiles) {
      json.put("p" + ServeReport.percentLabel(percent) + suffix, latency.percentile(percent));
    }
  }

  private static void requests(
      ObjectNode json, ServeMetrics metrics, List<RequestOutcome> outcomes) {
    ArrayNode inputs = json.putArray("input_lens");
    ArrayNode outputs = json.putArray("output_lens");
    metrics.outputTokens().forEach(outputs::add);
    ArrayNode firsts = json.putArray("ttfts");
    ArrayNode gaps = json.putArray("itls");
    ArrayNode errors = json.putArray("errors");
    for (RequestOutcome outcome : outcomes) {
      inputs.add(outcome.promptTokens());
      firsts.add(outcome.timeToFirstToken() / NANOS);
      ArrayNode gapsOfOne = gaps.addArray();
      for (long gap : outcome.interTokenLatencies()) {
        gapsOfOne.add(gap / NANOS);
      }
      errors.add(Objects.requireNonNullElse(outcome.error(), ""));
    }
  }
}
