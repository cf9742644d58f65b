package io.flotilla.server.openai;

import static io.flotilla.server.openai.Requests.chatBody;
import static org.assertj.core.api.Assertions.assertThat;

import io.flotilla.engine.TokenEvent.FinishReason;
import io.flotilla.generation.GenerationEvent.Delta;
import io.flotilla.generation.GenerationEvent.GeneratedToken;
import io.flotilla.generation.GenerationEvent.PromptScored;
import io.flotilla.model.sampling.TokenLogprobs;
import io.flotilla.server.FakeGeneration;
import io.flotilla.server.FakeModel;
import java.util.List;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/** The shapes of chat completions, whole and streamed, as OpenAI and vLLM have them. */
@Timeout(20)
class ChatAnswersTest {
  private static final TokenLogprobs SCORES =
      new TokenLogprobs('a', -0.5f, 1, new int[] {'a', 'b'}, new float[] {-0.5f, -1.5f});

  @Test
  void answersAsAWhole() throws InterruptedException {
    JsonNode answer = whole("", it -> it.say("Hello").end(FinishReason.LENGTH));
    assertThat(answer.get("id").stringValue()).matches("chatcmpl-[0-9a-f]{32}");
    assertThat(answer.get("created").longValue()).isGreaterThan(1_700_000_000);
    assertThat(text(answer))
        .isEqualTo(
            "{'object':'chat.completion','model':'fake','choices':[{'index':0,'message':"
                + "{'role':'assistant','content':'Hello','refusal':null},'logprobs':null,"
                + "'finish_reason':'length','stop_reason':null}],'usage':{'prompt_tokens':19,"
                + "'total_tokens':24,'completion_tokens':5,'prompt_tokens_details':"
                + "{'cached_tokens':1}}}");
  }

  @Test
  void answersWithEveryChoiceInOrderAndCountsThePromptOnce() throws InterruptedException {
    JsonNode answer =
        whole(
            "'n':3",
            it -> it.say("abc".substring(it.request().sampling().choice())).end(FinishReason.STOP));
    assertThat(answer.get("choices").values())
        .extracting(choice -> choice.get("index").intValue())
        .containsExactly(0, 1, 2);
    assertThat(answer.get("choices").values())
        .extracting(choice -> choice.at("/message/content").stringValue())
        .containsExactly("abc", "bc", "c");
    assertThat(answer.at("/usage/prompt_tokens").intValue()).isEqualTo(19);
    assertThat(answer.at("/usage/completion_tokens").intValue()).isEqualTo(6);
  }

  @Test
  void saysWhatItStoppedAt() throws InterruptedException {
    assertThat(stopReason(it -> it.end(FinishReason.STOP, "END", null)).stringValue())
        .isEqualTo("END");
    assertThat(stopReason(it -> it.end(FinishReason.STOP, null, 9)).intValue()).isEqualTo(9);
    assertThat(stopReason(it -> it.end(FinishReason.STOP, null, 0)).isNull()).isTrue();
  }

  private static JsonNode stopReason(Consumer<FakeGeneration> script) throws InterruptedException {
    JsonNode choice = whole("", script).at("/choices/0");
    assertThat(choice.get("finish_reason").stringValue()).isEqualTo("stop");
    return choice.get("stop_reason");
  }

  @Test
  void showsLogprobs() throws InterruptedException {
    JsonNode answer =
        whole(
            "'logprobs':true,'top_logprobs':2",
            it ->
                it.add(new Delta("a", List.of(new GeneratedToken('a', SCORES))))
                    .end(FinishReason.LENGTH));
    assertThat(answer.at("/choices/0/logprobs").toString().replace('"', '\''))
        .isEqualTo(
            "{'content':[{'token':'a','logprob':-0.5,'bytes':[97],'top_logprobs':["
                + "{'token':'a','logprob':-0.5,'bytes':[97]},"
                + "{'token':'b','logprob':-1.5,'bytes':[98]}]}],'refusal':null}");
  }

  @Test
  void impossibleTokensHaveANumberThatJsonKnows() throws InterruptedException {
    TokenLogprobs impossible =
        new TokenLogprobs('a', Float.NEGATIVE_INFINITY, 128, new int[0], new float[0]);
    JsonNode answer =
        whole(
            "'logprobs':true",
            it ->
                it.add(new Delta("a", List.of(new GeneratedToken('a', impossible))))
                    .end(FinishReason.LENGTH));
    assertThat(answer.at("/choices/0/logprobs/content/0/logprob").intValue()).isEqualTo(-9999);
  }

  @Test
  void showsLogprobsOfThePrompt() throws InterruptedException {
    JsonNode answer =
        whole(
            "'prompt_logprobs':2",
            it -> it.add(new PromptScored(List.of(SCORES))).say("x").end(FinishReason.LENGTH));
    assertThat(answer.get("prompt_logprobs").toString().replace('"', '\''))
        .isEqualTo(
            "[null,{'97':{'logprob':-0.5,'rank':1,'decoded_token':'a'},"
                + "'98':{'logprob':-1.5,'rank':2,'decoded_token':'b'}}]");
  }

  @Test
  void streams() throws InterruptedException {
    List<JsonNode> events =
        streamed("", it -> it.say("Hel").say("").say("lo").end(FinishReason.STOP));
    assertThat(events).extracting(event -> event.get("id")).containsOnly(events.get(0).get("id"));
    assertThat(events)
        .extracting(ChatAnswersTest::text)
        .containsExactly(
            chunk("{'role':'assistant','content':''}", "null"),
            chunk("{'content':'Hel'}", "null"),
            chunk("{'content':'lo'}", "null"),
            chunk("{}", "'stop','stop_reason':null"));
  }

  private static String chunk(String delta, String finish) {
    return "{'object':'chat.completion.chunk','model':'fake','choices':[{'index':0,'delta':"
        + delta
        + ",'logprobs':null,'finish_reason':"
        + finish
        + "}]}";
  }

  @Test
  void streamsUsageLast() throws InterruptedException {
    List<JsonNode> events =
        streamed(
            "'stream_options':{'include_usage':true},'n':2",
            it -> it.say("ab").end(FinishReason.STOP));
    assertThat(events).hasSize(7);
    for (JsonNode event : events.subList(0, 6)) {
      assertThat(event.get("usage").isNull()).isTrue();
      assertThat(event.get("choices").size()).isEqualTo(1);
    }
    assertThat(text(events.getLast()))
        .isEqualTo(
            "{'object':'chat.completion.chunk','model':'fake','choices':[],'usage':"
                + "{'prompt_tokens':19,'total_tokens':23,'completion_tokens':4,"
                + "'prompt_tokens_details':{'cached_tokens':1}}}");
  }

  @Test
  void streamsNoUsageUnasked() throws InterruptedException {
    assertThat(streamed("", it -> it.say("a").end(FinishReason.STOP)))
        .allSatisfy(event -> assertThat(event.has("usage")).isFalse());
  }

  @Test
  void streamsEveryChoiceFromItsOpeningToItsEnd() throws InterruptedException {
    List<JsonNode> events = streamed("'n':2", it -> it.say("a").say("b").end(FinishReason.LENGTH));
    for (int choice = 0; choice < 2; choice++) {
      int index = choice;
      List<JsonNode> own =
          events.stream().filter(it -> it.at("/choices/0/index").intValue() == index).toList();
      assertThat(own.getFirst().at("/choices/0/delta/role").stringValue()).isEqualTo("assistant");
      assertThat(own.subList(1, own.size() - 1))
          .extracting(it -> it.at("/choices/0/delta/content").stringValue())
          .containsExactly("a", "b");
      assertThat(own.getLast().at("/choices/0/finish_reason").stringValue()).isEqualTo("length");
    }
  }

  @Test
  void streamsAnEmptyAnswer() throws InterruptedException {
    List<JsonNode> events = streamed("", it -> it.end(FinishReason.STOP, null, 0));
    assertThat(events).hasSize(2);
    assertThat(events.get(1).at("/choices/0/finish_reason").stringValue()).isEqualTo("stop");
  }

  @Test
  void streamsLogprobsOfTokensWhoseTextIsHeldBack() throws InterruptedException {
    Delta heldBack = new Delta("", List.of(new GeneratedToken('a', SCORES)));
    Delta shown = new Delta("ab", List.of(new GeneratedToken('b', SCORES)));
    List<JsonNode> events =
        streamed("'logprobs':true", it -> it.add(heldBack).add(shown).end(FinishReason.LENGTH));
    assertThat(events).hasSize(3);
    assertThat(events.get(1).at("/choices/0/delta/content").stringValue()).isEqualTo("ab");
    assertThat(events.get(1).at("/choices/0/logprobs/content").size()).isEqualTo(2);
  }

  private static JsonNode whole(String fields, Consumer<FakeGeneration> script)
      throws InterruptedException {
    return run(chatBody(fields), script).answered();
  }

  private static List<JsonNode> streamed(String fields, Consumer<FakeGeneration> script)
      throws InterruptedException {
    String all = "'stream':true" + (fields.isEmpty() ? "" : "," + fields);
    return run(chatBody(all), script).streamed();
  }

  private static FakeExchange run(byte[] body, Consumer<FakeGeneration> script)
      throws InterruptedException {
    ServedModel served = new ServedModel(new FakeModel().script(script), List.of("fake"), 0);
    FakeExchange exchange = new FakeExchange(body);
    GenerationEndpoint.chat(served, RequestListener.NONE).handle(exchange);
    return exchange;
  }

  /** An answer but for what differs each time. */
  private static String text(JsonNode answer) {
    ObjectNode copy = (ObjectNode) answer.deepCopy();
    copy.remove(List.of("id", "created"));
    return copy.toString().replace('"', '\'');
  }
}
