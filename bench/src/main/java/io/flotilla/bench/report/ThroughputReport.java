package io.flotilla.bench.report;

import io.flotilla.generation.GenerationEvent.Usage;
import java.util.List;
import java.util.Locale;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/**
 * What a model did with all prompts at once.
 *
 * @param promptTokens of all requests
 * @param outputTokens of all requests
 */
public record ThroughputReport(int requests, long promptTokens, long outputTokens, double seconds) {
  /** The sums of what requests used. */
  public static ThroughputReport of(List<Usage> usages, long nanos) {
    return new ThroughputReport(
        usages.size(),
        usages.stream().mapToLong(Usage::prompt).sum(),
        usages.stream().mapToLong(Usage::generated).sum(),
        nanos / 1e9);
  }

  private long tokens() {
    return promptTokens + outputTokens;
  }

  /** The lines of {@code vllm bench throughput}. */
  public String text() {
    return String.format(
        Locale.ROOT,
        """
        Throughput: %.2f requests/s, %.2f total tokens/s, %.2f output tokens/s
        Total num prompt tokens:  %d
        Total num output tokens:  %d
        """,
        requests / seconds,
        tokens() / seconds,
        outputTokens / seconds,
        promptTokens,
        outputTokens);
  }

  /** The keys of {@code vllm bench throughput}, and the parts of its sums. */
  public byte[] json() {
    ObjectNode json = JsonMapper.shared().createObjectNode();
    json.put("elapsed_time", seconds);
    json.put("num_requests", requests);
    json.put("total_num_tokens", tokens());
    json.put("requests_per_second", requests / seconds);
    json.put("tokens_per_second", tokens() / seconds);
    json.put("total_input_tokens", promptTokens);
    json.put("total_output_tokens", outputTokens);
    json.put("output_tokens_per_second", outputTokens / seconds);
    return JsonMapper.shared().writeValueAsBytes(json);
  }
}
