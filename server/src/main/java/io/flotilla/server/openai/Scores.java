package io.flotilla.server.openai;

import io.flotilla.model.sampling.TokenLogprobs;
import java.util.List;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** Log-probabilities in the forms that both kinds of answer share. */
final class Scores {
  private static final float IMPOSSIBLE = -9999f;

  private Scores() {}

  /** JSON has no infinities; this is the number that OpenAI and vLLM use for them. */
  static float finite(float logprob) {
    return Float.isFinite(logprob) ? logprob : IMPOSSIBLE;
  }

  /** vLLM's {@code prompt_logprobs}: one object of ids for each token, null for the first. */
  static ArrayNode ofPrompt(ServedModel served, List<TokenLogprobs> tokens) {
    ArrayNode all = JsonMapper.shared().createArrayNode();
    all.addNull();
    for (TokenLogprobs scores : tokens) {
      ObjectNode position = all.addObject();
      for (int i = 0; i < scores.topTokens().length; i++) {
        put(position, served, scores.topTokens()[i], scores.topLogprobs()[i], i + 1);
      }
      put(position, served, scores.token(), scores.logprob(), scores.rank());
    }
    return all;
  }

  private static void put(
      ObjectNode position, ServedModel served, int id, float logprob, int rank) {
    position
        .putObject(Integer.toString(id))
        .put("logprob", finite(logprob))
        .put("rank", rank)
        .put("decoded_token", served.tokenText(id));
  }
}
