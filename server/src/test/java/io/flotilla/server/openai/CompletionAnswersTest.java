package io.flotilla.server.openai;

import static io.flotilla.server.openai.Requests.completionBody;
import static io.flotilla.server.openai.Requests.json;
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

/** The shapes of completions, whole and streamed, as OpenAI and vLLM have them. */
@Timeout(20)
class CompletionAnswersTest {
  @Test
  void answersAsAWhole() throws InterruptedException {
    JsonNode answer = whole(completionBody(""), it -> it.say("Hello").end(FinishReason.LENGTH));
    assertThat(answer.get("id").stringValue()).matches("cmpl-[0-9a-f]{32}");
    assertThat(text(answer))
        .isEqualTo(
            "{'object':'text_completion','model':'fake','choices':[{'index':0,'text':'Hello',"
                + "'logprobs':null,'finish_reason':'length','stop_reason':null}],'usage':"
                + "{'prompt_tokens':3,'total_tokens':8,'completion_tokens':5,"
                + "'prompt_tokens_details':{'cached_tokens':1}}}");
  }

  @Test
  void countsEveryPromptOnce() throws InterruptedException {
    JsonNode answer =
        whole(
            json("{'prompt':['a','bcd'],'n':2}"),
            it -> it.say("" + (char) it.request().prompt()[1]).end(FinishReason.STOP));
    assertThat(answer.get("choices").values())
        .extracting(choice -> choice.get("index").intValue() + choice.get("text").stringValue())
        .containsExactly("0a", "1a", "2b", "3b");
    assertThat(answer.at("/usage/prompt_tokens").intValue()).isEqualTo(6);
    assertThat(answer.at("/usage/completion_tokens").intValue()).isEqualTo(4);
    assertThat(answer.at("/usage/prompt_tokens_details/cached_tokens").intValue()).isEqualTo(2);
  }

  @Test
  void echoesThePromptWithoutSpecialTokens() throws InterruptedException {
    JsonNode answer =
        whole(completionBody("'echo':true"), it -> it.say("!").end(FinishReason.STOP));
    assertThat(answer.at("/choices/0/text").stringValue()).isEqualTo("hi!");
    assertThat(answer.at("/choices/0/logprobs").isNull()).isTrue();
  }

  @Test
  void echoesSpecialTokensWhereTheyAreWanted() throws InterruptedException {
    JsonNode answer =
        whole(
            completionBody("'echo':true,'skip_special_tokens':false"),
            it -> it.say("!").end(FinishReason.STOP));
    assertThat(answer.at("/choices/0/text").stringValue()).isEqualTo("^hi!");
  }

  @Test
  void showsLogprobsInFourLists() throws InterruptedException {
    JsonNode answer =
        whole(
            completionBody("'logprobs':1"),
            it -> it.add(token('x')).add(token('y')).end(FinishReason.LENGTH));
    assertThat(answer.at("/choices/0/logprobs").toString().replace('"', '\''))
        .isEqualTo(
            "{'text_offset':[0,1],'token_logprobs':[-2.0,-2.0],'tokens':['x','y'],"
                + "'top_logprobs':[{'z':-1.0,'x':-2.0},{'z':-1.0,'y':-2.0}]}");
  }

  @Test
  void showsLogprobsOfAnEchoedPrompt() throws InterruptedException {
    JsonNode answer =
        whole(
            json("{'prompt':[104,105],'echo':true,'logprobs':0}"),
            it ->
                it.add(new PromptScored(List.of(scores('i', false))))
                    .add(token('x'))
                    .end(FinishReason.LENGTH));
    assertThat(answer.at("/choices/0/text").stringValue()).isEqualTo("hix");
    assertThat(answer.at("/choices/0/logprobs/tokens").toString()).isEqualTo("[\"h\",\"i\",\"x\"]");
    assertThat(answer.at("/choices/0/logprobs/token_logprobs").toString())
        .isEqualTo("[null,-2.0,-2.0]");
    assertThat(answer.at("/choices/0/logprobs/text_offset").toString()).isEqualTo("[0,1,2]");
    assertThat(answer.at("/choices/0/logprobs/top_logprobs/0").isNull()).isTrue();
    assertThat(answer.at("/choices/0").has("prompt_logprobs")).isFalse();
  }

  @Test
  void showsLogprobsOfThePromptInEveryChoice() throws InterruptedException {
    JsonNode answer =
        whole(
            completionBody("'prompt_logprobs':1,'n':2"),
            it ->
                it.add(new PromptScored(List.of(scores('i', true))))
                    .say("x")
                    .end(FinishReason.LENGTH));
    for (JsonNode choice : answer.get("choices").values()) {
      assertThat(choice.get("prompt_logprobs").toString().replace('"', '\''))
          .isEqualTo(
              "[null,{'122':{'logprob':-1.0,'rank':1,'decoded_token':'z'},"
                  + "'105':{'logprob':-2.0,'rank':2,'decoded_token':'i'}}]");
    }
  }

  @Test
  void streams() throws InterruptedException {
    List<JsonNode> events =
        streamed("'stream':true", it -> it.say("Hel").say("lo").end(FinishReason.LENGTH));
    assertThat(events)
        .extracting(CompletionAnswersTest::text)
        .containsExactly(
            chunk(0, "Hel", "null", "null"),
            chunk(0, "lo", "null", "null"),
            chunk(0, "", "null", "'length','stop_reason':null"));
  }

  @Test
  void streamsAnEchoFirst() throws InterruptedException {
    List<JsonNode> events =
        streamed("'stream':true,'echo':true", it -> it.say("!").end(FinishReason.STOP));
    assertThat(events)
        .extracting(CompletionAnswersTest::text)
        .containsExactly(
            chunk(0, "hi", "null", "null"),
            chunk(0, "!", "null", "null"),
            chunk(0, "", "null", "'stop','stop_reason':null"));
  }

  private static String chunk(int index, String text, String logprobs, String finish) {
    return "{'object':'text_completion','model':'fake','choices':[{'index':%d,'text':'%s',"
            .formatted(index, text)
        + "'logprobs':%s,'finish_reason':%s}]}".formatted(logprobs, finish);
  }

  @Test
  void offsetsOfStreamedTokensContinue() throws InterruptedException {
    List<JsonNode> events =
        streamed(
            "'stream':true,'echo':true,'logprobs':0,'skip_special_tokens':false",
            it ->
                it.add(new PromptScored(List.of(scores('h', false), scores('i', false))))
                    .add(token('x'))
                    .add(token('y'))
                    .end(FinishReason.STOP));
    assertThat(events)
        .extracting(event -> event.at("/choices/0/logprobs/text_offset").toString())
        .containsExactly("[0,1,2]", "[3]", "[4]", "");
  }

  private static Delta token(int id) {
    return new Delta("" + (char) id, List.of(new GeneratedToken(id, scores(id, true))));
  }

  /** The token's own score, behind that of {@code z} where a likelier one is wanted. */
  private static TokenLogprobs scores(int id, boolean likelier) {
    return new TokenLogprobs(
        id,
        -2f,
        2,
        likelier ? new int[] {'z'} : new int[0],
        likelier ? new float[] {-1f} : new float[0]);
  }

  private static JsonNode whole(byte[] body, Consumer<FakeGeneration> script)
      throws InterruptedException {
    return run(body, script).answered();
  }

  private static List<JsonNode> streamed(String fields, Consumer<FakeGeneration> script)
      throws InterruptedException {
    return run(completionBody(fields), script).streamed();
  }

  private static FakeExchange run(byte[] body, Consumer<FakeGeneration> script)
      throws InterruptedException {
    ServedModel served = new ServedModel(new FakeModel().script(script), List.of("fake"), 0);
    FakeExchange exchange = new FakeExchange(body);
    GenerationEndpoint.completions(served, RequestListener.NONE).handle(exchange);
    return exchange;
  }

  private static String text(JsonNode answer) {
    ObjectNode copy = (ObjectNode) answer.deepCopy();
    copy.remove(List.of("id", "created"));
    return copy.toString().replace('"', '\'');
  }
}
