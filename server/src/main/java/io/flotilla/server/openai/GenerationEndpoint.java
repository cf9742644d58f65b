package io.flotilla.server.openai;

import io.flotilla.generation.GenerationEvent.Delta;
import io.flotilla.generation.GenerationEvent.Ended;
import io.flotilla.generation.GenerationEvent.Failed;
import io.flotilla.generation.GenerationEvent.PromptScored;
import io.flotilla.server.openai.Choices.Indexed;
import java.util.List;
import java.util.UUID;
import java.util.function.BiFunction;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** Generates what a request asks for, and answers as a whole or as events. */
public final class GenerationEndpoint implements Endpoint {
  private final ServedModel served;
  private final RequestListener listener;
  private final BiFunction<byte[], ServedModel, GenerationPlan> parser;
  private final AnswerFormat format;

  private GenerationEndpoint(
      ServedModel served,
      RequestListener listener,
      BiFunction<byte[], ServedModel, GenerationPlan> parser,
      AnswerFormat format) {
    this.served = served;
    this.listener = listener;
    this.parser = parser;
    this.format = format;
  }

  /** {@code /v1/completions}. */
  public static Endpoint completions(ServedModel served, RequestListener listener) {
    return new GenerationEndpoint(
        served,
        listener,
        CompletionParser::parse,
        new CompletionFormat(served, served.model().config().endOfSequence()));
  }

  /** {@code /v1/chat/completions}. */
  public static Endpoint chat(ServedModel served, RequestListener listener) {
    return new GenerationEndpoint(
        served,
        listener,
        ChatParser::parse,
        new ChatFormat(served, served.model().config().endOfSequence()));
  }

  @Override
  public void handle(Exchange exchange) throws InterruptedException {
    GenerationPlan plan = parser.apply(exchange.body(), served);
    boolean stream = plan.stream().stream();
    try (Choices choices =
        new Choices(served.model(), plan.requests(served), exchange, listener, stream)) {
      Conduct conduct = new Conduct(plan, choices);
      if (stream) {
        conduct.stream(exchange);
      } else {
        conduct.answer(exchange);
      }
    }
  }

  /** One request being answered. */
  private final class Conduct {
    private final GenerationPlan plan;
    private final Choices choices;
    private final String id = format.idPrefix() + UUID.randomUUID().toString().replace("-", "");
    private final long created = System.currentTimeMillis() / 1000;
    private final List<Answer> answers;
    private final Finish finish;
    private int running;

    Conduct(GenerationPlan plan, Choices choices) {
      this.plan = plan;
      this.choices = choices;
      this.running = plan.prompts().size() * plan.sampling().choices();
      this.answers = IntStream.range(0, running).mapToObj(Answer::new).toList();
      this.finish = new Finish(plan.sampling().choices());
    }

    void answer(Exchange exchange) throws InterruptedException {
      while (running > 0) {
        take(choices.next());
      }
      ArrayNode all = JsonMapper.shared().createArrayNode();
      answers.forEach(answer -> all.add(format.whole(plan, answer)));
      ObjectNode root = envelope(format.object(), all);
      root.set("usage", finish.usage());
      if (plan.scoresPrompt() && format instanceof ChatFormat) {
        root.set("prompt_logprobs", Scores.ofPrompt(served, answers.getFirst().prompt()));
      }
      exchange.answer(root);
    }

    void stream(Exchange exchange) throws InterruptedException {
      // The status is not sent before the model has taken the request: until then it can be 429.
      Answer answer = take(choices.next());
      EventStreamWriter events = exchange.events();
      while (true) {
        send(events, answer);
        if (running == 0) {
          break;
        }
        try {
          answer = take(choices.next());
        } catch (RefusedException e) {
          events.send(e.error().json());
          events.done();
          return;
        }
      }
      if (plan.stream().usage()) {
        ObjectNode last = envelope(format.chunkObject(), JsonMapper.shared().createArrayNode());
        last.set("usage", finish.usage());
        events.send(last);
      }
      events.done();
    }

    /** Adds an event to the answer it belongs to. */
    private Answer take(Indexed next) {
      Answer answer = answers.get(next.index());
      switch (next.event()) {
        case PromptScored scored -> answer.scored(scored.tokens());
        case Delta delta -> answer.add(delta);
        case Ended ended -> {
          answer.end(ended);
          finish.add(next.index(), ended.usage());
          running--;
        }
        case Failed failed ->
            throw new RefusedException(OpenAiError.of(failed.code(), failed.message()));
      }
      return answer;
    }

    /** Sends what can be sent: text, and at the end what has none. */
    private void send(EventStreamWriter events, Answer answer) {
      boolean ended = answer.hasEnded();
      boolean pending =
          !answer.text().isEmpty() || (ended && plan.hasLogprobs() && !answer.tokens().isEmpty());
      if (!pending && !ended) {
        return;
      }
      if (answer.open()) {
        sendChoice(events, format.opening(plan, answer));
      }
      if (pending) {
        sendChoice(events, format.delta(plan, answer));
        answer.sent(charactersOf(answer));
      }
      if (ended) {
        sendChoice(events, format.ending(answer));
      }
    }

    private int charactersOf(Answer answer) {
      return plan.hasLogprobs()
          ? answer.tokens().stream().mapToInt(token -> served.tokenText(token.id()).length()).sum()
          : 0;
    }

    private void sendChoice(EventStreamWriter events, @Nullable ObjectNode choice) {
      if (choice == null) {
        return;
      }
      ObjectNode chunk =
          envelope(format.chunkObject(), JsonMapper.shared().createArrayNode().add(choice));
      if (plan.stream().usage()) {
        chunk.putNull("usage");
      }
      events.send(chunk);
    }

    private ObjectNode envelope(String object, ArrayNode all) {
      ObjectNode root =
          JsonMapper.shared()
              .createObjectNode()
              .put("id", id)
              .put("object", object)
              .put("created", created)
              .put("model", plan.model());
      root.set("choices", all);
      return root;
    }
  }
}
