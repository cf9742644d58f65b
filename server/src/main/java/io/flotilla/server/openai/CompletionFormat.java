package io.flotilla.server.openai;

import io.flotilla.generation.GenerationEvent.GeneratedToken;
import io.flotilla.model.sampling.TokenLogprobs;
import java.util.List;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** {@code text_completion}. */
record CompletionFormat(ServedModel served, List<Integer> endOfSequence) implements AnswerFormat {
  CompletionFormat {
    endOfSequence = List.copyOf(endOfSequence);
  }

  @Override
  public String idPrefix() {
    return "cmpl-";
  }

  @Override
  public String object() {
    return "text_completion";
  }

  @Override
  public String chunkObject() {
    return object();
  }

  @Override
  public ObjectNode whole(GenerationPlan plan, Answer answer) {
    String echoed = plan.echo() ? promptText(plan, answer) : "";
    ObjectNode choice = choice(answer, echoed + answer.text());
    if (plan.hasLogprobs()) {
      Logprobs logprobs = new Logprobs(choice.putObject("logprobs"), 0);
      if (plan.echo()) {
        logprobs.addPrompt(plan.promptOf(answer.index()), answer.prompt());
      }
      logprobs.addAll(answer.tokens());
    } else {
      choice.putNull("logprobs");
    }
    Finish.put(choice, answer.ended(), endOfSequence);
    if (plan.scoresPrompt()) {
      choice.set("prompt_logprobs", Scores.ofPrompt(served, answer.prompt()));
    }
    return choice;
  }

  @Override
  public @Nullable ObjectNode opening(GenerationPlan plan, Answer answer) {
    if (!plan.echo()) {
      return null;
    }
    ObjectNode choice = choice(answer, promptText(plan, answer));
    if (plan.hasLogprobs()) {
      Logprobs logprobs = new Logprobs(choice.putObject("logprobs"), 0);
      logprobs.addPrompt(plan.promptOf(answer.index()), answer.prompt());
    } else {
      choice.putNull("logprobs");
    }
    return choice.putNull("finish_reason");
  }

  @Override
  public ObjectNode delta(GenerationPlan plan, Answer answer) {
    ObjectNode choice = choice(answer, answer.text());
    if (plan.hasLogprobs()) {
      int before = plan.echo() ? promptText(plan, answer).length() : 0;
      new Logprobs(choice.putObject("logprobs"), before + answer.offset()).addAll(answer.tokens());
    } else {
      choice.putNull("logprobs");
    }
    return choice.putNull("finish_reason");
  }

  @Override
  public ObjectNode ending(Answer answer) {
    ObjectNode choice = choice(answer, "").putNull("logprobs");
    Finish.put(choice, answer.ended(), endOfSequence);
    return choice;
  }

  private static ObjectNode choice(Answer answer, String text) {
    return JsonMapper.shared().createObjectNode().put("index", answer.index()).put("text", text);
  }

  private String promptText(GenerationPlan plan, Answer answer) {
    return served
        .model()
        .tokenizer()
        .decode(plan.promptOf(answer.index()), plan.sampling().skipSpecialTokens());
  }

  /** OpenAI's four parallel lists. */
  private final class Logprobs {
    private final ArrayNode offsets;
    private final ArrayNode logprobs;
    private final ArrayNode tokens;
    private final ArrayNode top;
    private int offset;

    Logprobs(ObjectNode node, int offset) {
      this.offsets = node.putArray("text_offset");
      this.logprobs = node.putArray("token_logprobs");
      this.tokens = node.putArray("tokens");
      this.top = node.putArray("top_logprobs");
      this.offset = offset;
    }

    void addPrompt(int[] prompt, List<TokenLogprobs> scored) {
      addToken(prompt[0]);
      logprobs.addNull();
      top.addNull();
      scored.forEach(this::add);
    }

    void addAll(List<GeneratedToken> generated) {
      for (GeneratedToken token : generated) {
        TokenLogprobs scores = token.logprobs();
        if (scores != null) {
          add(scores);
        }
      }
    }

    private void add(TokenLogprobs scores) {
      addToken(scores.token());
      logprobs.add(Scores.finite(scores.logprob()));
      ObjectNode likeliest = top.addObject();
      for (int i = 0; i < scores.topTokens().length; i++) {
        likeliest.put(
            served.tokenText(scores.topTokens()[i]), Scores.finite(scores.topLogprobs()[i]));
      }
      likeliest.put(served.tokenText(scores.token()), Scores.finite(scores.logprob()));
    }

    private void addToken(int id) {
      String text = served.tokenText(id);
      offsets.add(offset);
      tokens.add(text);
      offset += text.length();
    }
  }
}
