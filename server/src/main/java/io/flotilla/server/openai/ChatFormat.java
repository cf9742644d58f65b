package io.flotilla.server.openai;

import io.flotilla.generation.GenerationEvent.GeneratedToken;
import io.flotilla.model.sampling.TokenLogprobs;
import java.nio.charset.StandardCharsets;
import java.util.List;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** {@code chat.completion} and {@code chat.completion.chunk}. */
record ChatFormat(ServedModel served, List<Integer> endOfSequence) implements AnswerFormat {
  ChatFormat {
    endOfSequence = List.copyOf(endOfSequence);
  }

  @Override
  public String idPrefix() {
    return "chatcmpl-";
  }

  @Override
  public String object() {
    return "chat.completion";
  }

  @Override
  public String chunkObject() {
    return "chat.completion.chunk";
  }

  @Override
  public ObjectNode whole(GenerationPlan plan, Answer answer) {
    ObjectNode choice = choice(answer);
    choice
        .putObject("message")
        .put("role", "assistant")
        .put("content", answer.text())
        .putNull("refusal");
    putLogprobs(choice, plan, answer);
    Finish.put(choice, answer.ended(), endOfSequence);
    return choice;
  }

  @Override
  public ObjectNode opening(GenerationPlan plan, Answer answer) {
    ObjectNode choice = choice(answer);
    choice.putObject("delta").put("role", "assistant").put("content", "");
    return choice.putNull("logprobs").putNull("finish_reason");
  }

  @Override
  public ObjectNode delta(GenerationPlan plan, Answer answer) {
    ObjectNode choice = choice(answer);
    choice.putObject("delta").put("content", answer.text());
    putLogprobs(choice, plan, answer);
    return choice.putNull("finish_reason");
  }

  @Override
  public ObjectNode ending(Answer answer) {
    ObjectNode choice = choice(answer);
    choice.putObject("delta");
    choice.putNull("logprobs");
    Finish.put(choice, answer.ended(), endOfSequence);
    return choice;
  }

  private static ObjectNode choice(Answer answer) {
    return JsonMapper.shared().createObjectNode().put("index", answer.index());
  }

  private void putLogprobs(ObjectNode choice, GenerationPlan plan, Answer answer) {
    if (!plan.hasLogprobs()) {
      choice.putNull("logprobs");
      return;
    }
    ObjectNode logprobs = choice.putObject("logprobs");
    ArrayNode content = logprobs.putArray("content");
    for (GeneratedToken token : answer.tokens()) {
      TokenLogprobs scores = token.logprobs();
      if (scores == null) {
        continue;
      }
      ArrayNode top =
          entry(content.addObject(), scores.token(), scores.logprob()).putArray("top_logprobs");
      for (int i = 0; i < scores.topTokens().length; i++) {
        entry(top.addObject(), scores.topTokens()[i], scores.topLogprobs()[i]);
      }
    }
    logprobs.putNull("refusal");
  }

  private ObjectNode entry(ObjectNode entry, int id, float logprob) {
    String text = served.tokenText(id);
    entry.put("token", text).put("logprob", Scores.finite(logprob));
    ArrayNode bytes = entry.putArray("bytes");
    for (byte value : text.getBytes(StandardCharsets.UTF_8)) {
      bytes.add(value & 0xFF);
    }
    return entry;
  }
}
