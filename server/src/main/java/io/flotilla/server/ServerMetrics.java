package io.flotilla.server;

import io.flotilla.engine.EngineListener;
import io.flotilla.engine.EngineStatistics;
import io.flotilla.fleet.EngineStatus;
import io.flotilla.server.openai.RequestListener;
import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.DistributionSummary;
import io.micrometer.core.instrument.FunctionCounter;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.Tags;
import io.micrometer.prometheusmetrics.PrometheusConfig;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import java.util.List;
import java.util.function.Supplier;
import java.util.function.ToDoubleFunction;

/**
 * What {@code /metrics} shows: names after the prefix, and the labels {@code model_name} and {@code
 * engine}, are those that dashboards of vLLM know. It outlives neither model nor server; one is
 * made for each model.
 */
public final class ServerMetrics implements EngineListener {
  private static final double[] LATENCY_SECONDS = {
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40,
    80, 160, 640, 2560
  };
  private static final double[] TOKEN_SECONDS = {
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5,
    7.5, 10, 20, 40, 80
  };
  private static final double[] REQUEST_SECONDS = {
    0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680
  };
  private static final double[] STEP_TOKENS = {
    1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384
  };
  private static final double NANOS = 1e9;

  private final PrometheusMeterRegistry registry =
      new PrometheusMeterRegistry(PrometheusConfig.DEFAULT);
  private final String prefix;
  private final String modelName;
  private final DistributionSummary firstToken;
  private final DistributionSummary interToken;
  private final DistributionSummary wholeRequest;
  private final DistributionSummary queue;
  private final DistributionSummary prefill;
  private final DistributionSummary decode;
  private final DistributionSummary stepTokens;

  /**
   * @param prefix what names begin with, up to the colon
   * @param modelName the label {@code model_name}
   */
  public ServerMetrics(String prefix, String modelName) {
    this.prefix = prefix;
    this.modelName = modelName;
    firstToken = seconds("time_to_first_token", "From request to first token.", LATENCY_SECONDS);
    interToken = seconds("inter_token_latency", "From one token to the next.", TOKEN_SECONDS);
    wholeRequest = seconds("e2e_request_latency", "From request to last token.", REQUEST_SECONDS);
    queue = seconds("request_queue_time", "From arrival to the first step.", REQUEST_SECONDS);
    prefill = seconds("request_prefill_time", "From there to the first token.", REQUEST_SECONDS);
    decode = seconds("request_decode_time", "From there to the end.", REQUEST_SECONDS);
    stepTokens = histogram("iteration_tokens", "Tokens computed in a step.", STEP_TOKENS);
    // Shown from the start, so that rates have a zero to begin at.
    List.of("stop", "length", "abort", "error").forEach(this::ended);
  }

  @Override
  public void stepApplied(int tokens) {
    stepTokens.record(tokens);
  }

  @Override
  public void sequenceEnded(SequenceTimes times) {
    queue.record(times.queueNanos() / NANOS);
    prefill.record(times.prefillNanos() / NANOS);
    decode.record(times.decodeNanos() / NANOS);
  }

  /** Shows every replica's counts from now on. */
  void watch(Supplier<List<EngineStatus>> statuses) {
    int replicas = statuses.get().size();
    for (int i = 0; i < replicas; i++) {
      Replica replica = new Replica(statuses, i);
      gauge("num_requests_running", replica, EngineStatistics::running);
      gauge("num_requests_waiting", replica, EngineStatistics::waiting);
      gauge("kv_cache_usage_perc", replica, EngineStatistics::kvUsage);
      counter("prefix_cache_queries", replica, EngineStatistics::prefixQueries);
      counter("prefix_cache_hits", replica, EngineStatistics::prefixHits);
      counter("num_preemptions", replica, EngineStatistics::preemptions);
      counter("prompt_tokens", replica, EngineStatistics::promptTokens);
      counter("generation_tokens", replica, EngineStatistics::generatedTokens);
      FunctionCounter.builder(name("replica_restarts"), this, _ -> replica.status().restarts())
          .description("Times a replica was started again after it had failed.")
          .tags(tags(i))
          .register(registry);
      watchStages(replica);
    }
  }

  /** The share of bubbles is their seconds over those of both, in the mean over stages. */
  private void watchStages(Replica replica) {
    for (int i = 0; i < replica.statistics().stages().size(); i++) {
      int stage = i;
      Tags tags = tags(replica.index()).and("stage", Integer.toString(stage));
      counter(
          "pipeline_busy_seconds", tags, replica, s -> s.stages().get(stage).busyNanos() / NANOS);
      counter(
          "pipeline_bubble_seconds",
          tags,
          replica,
          s -> s.stages().get(stage).bubbleNanos() / NANOS);
    }
  }

  /** Hears of requests. */
  RequestListener requests() {
    return new RequestListener() {
      @Override
      public void firstToken(long nanos) {
        firstToken.record(nanos / NANOS);
      }

      @Override
      public void nextToken(long nanos) {
        interToken.record(nanos / NANOS);
      }

      @Override
      public void ended(String reason, long nanos) {
        ServerMetrics.this.ended(reason).increment();
        wholeRequest.record(nanos / NANOS);
      }
    };
  }

  /** Prometheus' text format. */
  String scrape() {
    // The registry keeps "_total" for counters; dashboards know this histogram by it.
    return registry.scrape().replace(":iteration_tokens", ":iteration_tokens_total");
  }

  private record Replica(Supplier<List<EngineStatus>> statuses, int index) {
    EngineStatus status() {
      return statuses.get().get(index);
    }

    EngineStatistics statistics() {
      return status().statistics();
    }
  }

  private Counter ended(String reason) {
    return Counter.builder(name("request_success"))
        .description("Choices that have ended.")
        .tags(tags(0).and("finished_reason", reason))
        .register(registry);
  }

  private void gauge(String suffix, Replica replica, ToDoubleFunction<EngineStatistics> value) {
    Gauge.builder(name(suffix), () -> value.applyAsDouble(replica.statistics()))
        .tags(tags(replica.index()))
        .strongReference(true)
        .register(registry);
  }

  private void counter(String suffix, Replica replica, ToDoubleFunction<EngineStatistics> value) {
    counter(suffix, tags(replica.index()), replica, value);
  }

  /** A counter holds its object weakly: the registry's owner is what lives as long as it. */
  private void counter(
      String suffix, Tags tags, Replica replica, ToDoubleFunction<EngineStatistics> value) {
    FunctionCounter.builder(name(suffix), this, _ -> value.applyAsDouble(replica.statistics()))
        .tags(tags)
        .register(registry);
  }

  private DistributionSummary seconds(String suffix, String description, double... buckets) {
    return histogram(suffix + "_seconds", description, buckets);
  }

  private DistributionSummary histogram(String suffix, String description, double... buckets) {
    return DistributionSummary.builder(name(suffix))
        .description(description)
        .tags(tags(0))
        .serviceLevelObjectives(buckets)
        .register(registry);
  }

  private Tags tags(int engine) {
    return Tags.of("model_name", modelName, "engine", Integer.toString(engine));
  }

  private String name(String suffix) {
    return prefix + ":" + suffix;
  }
}
