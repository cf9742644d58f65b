package io.flotilla.server.openai;

import io.flotilla.generation.GenerationEvent.Ended;
import io.flotilla.generation.GenerationEvent.Usage;
import java.util.List;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/** Why choices ended, and what they cost. */
final class Finish {
  private final int choicesOfPrompt;
  private int prompt;
  private int cached;
  private int generated;

  /**
   * @param choicesOfPrompt answers to each prompt, which is counted once
   */
  Finish(int choicesOfPrompt) {
    this.choicesOfPrompt = choicesOfPrompt;
  }

  /** {@code finish_reason}. */
  static String reason(Ended ended) {
    return switch (ended.reason()) {
      case STOP -> "stop";
      case LENGTH -> "length";
      case ABORT -> "abort";
    };
  }

  /**
   * Adds {@code finish_reason} and vLLM's {@code stop_reason}: what the request asked to stop at.
   */
  static void put(ObjectNode choice, Ended ended, List<Integer> endOfSequence) {
    choice.put("finish_reason", reason(ended));
    Integer stopToken = ended.stopToken();
    if (ended.stop() != null) {
      choice.put("stop_reason", ended.stop());
    } else if (stopToken != null && !endOfSequence.contains(stopToken)) {
      choice.put("stop_reason", stopToken);
    } else {
      choice.putNull("stop_reason");
    }
  }

  void add(int index, Usage usage) {
    generated += usage.generated();
    if (index % choicesOfPrompt == 0) {
      prompt += usage.prompt();
      cached += usage.cached();
    }
  }

  /** {@code usage} of the whole request. */
  ObjectNode usage() {
    ObjectNode usage =
        JsonMapper.shared()
            .createObjectNode()
            .put("prompt_tokens", prompt)
            .put("total_tokens", prompt + generated)
            .put("completion_tokens", generated);
    usage.putObject("prompt_tokens_details").put("cached_tokens", cached);
    return usage;
  }
}
