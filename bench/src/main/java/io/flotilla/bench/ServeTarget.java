package io.flotilla.bench;

import io.flotilla.bench.client.Backend;
import io.flotilla.bench.dataset.BenchmarkPrompt;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.node.ObjectNode;

/**
 * What is asked of the server, the same for every request.
 *
 * @param endpoint the path, such as {@code /v1/completions}
 * @param model as the server names it
 * @param ignoreEos generate to the last token asked for (a vLLM extension)
 * @param temperature null leaves it to the server
 */
public record ServeTarget(
    Backend backend,
    String endpoint,
    String model,
    boolean ignoreEos,
    @Nullable Double temperature) {

  ObjectNode request(BenchmarkPrompt prompt) {
    ObjectNode body = backend.request(model, prompt.prompt(), prompt.outputTokens());
    if (ignoreEos) {
      body.put("ignore_eos", true);
    }
    if (temperature != null) {
      body.put("temperature", temperature);
    }
    return body;
  }
}
