package io.flotilla.bench.client;

import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/** Which endpoint is spoken to. The names are vLLM's. */
public enum Backend {
  /** Text completions. */
  OPENAI("openai", "/v1/completions"),
  /** Chat completions; the server applies the chat template. */
  OPENAI_CHAT("openai-chat", "/v1/chat/completions");

  private final String label;
  private final String endpoint;

  Backend(String label, String endpoint) {
    this.label = label;
    this.endpoint = endpoint;
  }

  /** The endpoint where none is named. */
  public String endpoint() {
    return endpoint;
  }

  /** A streamed request for at most {@code maxTokens} tokens, its usage at the end. */
  public ObjectNode request(String model, String prompt, int maxTokens) {
    ObjectNode body = JsonMapper.shared().createObjectNode().put("model", model);
    switch (this) {
      case OPENAI -> body.put("prompt", prompt).put("max_tokens", maxTokens);
      case OPENAI_CHAT -> {
        body.putArray("messages").addObject().put("role", "user").put("content", prompt);
        body.put("max_completion_tokens", maxTokens);
      }
    }
    body.put("stream", true).putObject("stream_options").put("include_usage", true);
    return body;
  }

  @Override
  public String toString() {
    return label;
  }
}
