package io.flotilla.server.openai;

import static io.flotilla.server.openai.Requests.SERVED;
import static io.flotilla.server.openai.Requests.completion;
import static io.flotilla.server.openai.Requests.json;
import static io.flotilla.server.openai.Requests.refusal;
import static io.flotilla.server.openai.Requests.refusedCompletion;
import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class CompletionParserTest {
  @Test
  void takesAText() {
    assertThat(prompts("'hi'")).containsExactly(new int[] {'^', 'h', 'i'});
  }

  @Test
  void takesATextWithoutSpecialTokens() {
    GenerationPlan plan =
        CompletionParser.parse(json("{'prompt':'hi','add_special_tokens':false}"), SERVED);
    assertThat(plan.prompts()).containsExactly(new int[] {'h', 'i'});
  }

  @Test
  void takesTokenIdsAsTheyAre() {
    assertThat(prompts("[5,0,129]")).containsExactly(new int[] {5, 0, 129});
  }

  @Test
  void takesAListOfTexts() {
    assertThat(prompts("['a','b']")).containsExactly(new int[] {'^', 'a'}, new int[] {'^', 'b'});
  }

  @Test
  void takesListsOfTokenIds() {
    assertThat(prompts("[[1,2],[3]]")).containsExactly(new int[] {1, 2}, new int[] {3});
  }

  @Test
  void takesTextsAndTokenIdsTogether() {
    assertThat(prompts("['a',[3]]")).containsExactly(new int[] {'^', 'a'}, new int[] {3});
  }

  private static List<int[]> prompts(String prompt) {
    return CompletionParser.parse(json("{'prompt':" + prompt + "}"), SERVED).prompts();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "null|prompt|prompt is missing; give a string, token ids, or a list of those",
        "5|prompt|prompt is a number; it must be a string, a list of token ids, or a list of those",
        "{}|prompt|"
            + "prompt is an object; it must be a string, a list of token ids, or a list of those",
        "[]|prompt|prompt is an empty list; give at least one prompt",
        "[[]]|prompt[0]|prompt[0] is empty; it needs at least one token",
        "[[1],[]]|prompt[1]|prompt[1] is empty; it needs at least one token",
        "[130]|prompt[0]|prompt[0] is 130; it must be 0 to 129",
        "[1,-1]|prompt[1]|prompt[1] is -1; it must be 0 to 129",
        "[1,2.5]|prompt[1]|prompt[1] is a number; it must be an integer",
        "[1,'a']|prompt[1]|prompt[1] is a string; it must be an integer",
        "['a',1]|prompt[1]|prompt[1] is a number; it must be a string",
        "[null]|prompt[0]|prompt[0] is null; it must be a string",
        "[[1],[2,999]]|prompt[1][1]|prompt[1][1] is 999; it must be 0 to 129",
        "[[[1]]]|prompt[0][0]|prompt[0][0] is a list; it must be an integer",
        "'\\udc00'|prompt|prompt has half a surrogate pair at 0; it is no Unicode text",
        "['a','a\\ud800']|prompt[1]|prompt[1] has half a surrogate pair at 1; it is no Unicode"
            + " text",
      })
  void refusesAWrongPromptByName(String prompt, String param, String message) {
    OpenAiError error = refusal(json("{'prompt':" + prompt + "}"), CompletionParser::parse);
    assertThat(error.message()).isEqualTo(message);
    assertThat(error.param()).isEqualTo(param);
    assertThat(error.status()).isEqualTo(400);
  }

  @Test
  void refusesATextOfNoTokens() {
    OpenAiError error =
        refusal(json("{'prompt':'','add_special_tokens':false}"), CompletionParser::parse);
    assertThat(error.message()).isEqualTo("prompt is empty; it needs at least one token");
  }

  @Test
  void refusesTooManyPrompts() {
    String prompts = "[" + "'a',".repeat(2048) + "'a']";
    assertThat(refusal(json("{'prompt':" + prompts + "}"), CompletionParser::parse).message())
        .isEqualTo("prompt has 2049 prompts; at most 2048");
  }

  @Test
  void refusesMessages() {
    assertThat(refusedCompletion("'messages':[]").message())
        .isEqualTo("unknown field messages; leave it out");
  }

  @Test
  void refusesASuffix() {
    assertThat(refusedCompletion("'suffix':'x'").message())
        .isEqualTo("suffix is not supported yet; leave it out");
    assertThat(completion("'suffix':''").prompts()).hasSize(1);
  }

  @Test
  void generatesSixteenTokensUnlessTold() {
    assertThat(completion("").maxTokens()).containsExactly(16);
    assertThat(completion("'max_tokens':3").maxTokens()).containsExactly(3);
  }

  @Test
  void generatesNoMoreThanThereIsRoomForUnlessTold() {
    GenerationPlan plan =
        CompletionParser.parse(json("{'prompt':'" + "x".repeat(60) + "'}"), SERVED);
    assertThat(plan.maxTokens()).containsExactly(3);
  }

  @Test
  void refusesWhatDoesNotFitTheContext() {
    OpenAiError error = refusedCompletion("'max_tokens':62");
    assertThat(error.param()).isEqualTo("max_tokens");
    assertThat(error.code()).isEqualTo("context_length_exceeded");
    assertThat(completion("'max_tokens':61").maxTokens()).containsExactly(61);
  }

  @Test
  void refusesAPromptThatLeavesNoRoomForAToken() {
    OpenAiError error =
        refusal(json("{'prompt':['a','" + "x".repeat(63) + "']}"), CompletionParser::parse);
    assertThat(error.code()).isEqualTo("context_length_exceeded");
    assertThat(error.message()).startsWith("the prompt has 64 tokens");
  }

  @Test
  void readsLogprobs() {
    assertThat(completion("'logprobs':0").sampling().parameters().logprobs()).isZero();
    assertThat(completion("'logprobs':20").sampling().parameters().logprobs()).isEqualTo(20);
    assertThat(completion("").hasLogprobs()).isFalse();
    assertThat(refusedCompletion("'logprobs':21").message())
        .isEqualTo("logprobs is 21; it must be 0 to 20");
    assertThat(refusedCompletion("'logprobs':-1").param()).isEqualTo("logprobs");
    assertThat(refusedCompletion("'logprobs':true").message())
        .isEqualTo("logprobs is a boolean; it must be an integer");
  }

  @Test
  void anEchoedPromptIsScoredToo() {
    GenerationPlan plan = completion("'echo':true,'logprobs':2,'prompt_logprobs':1");
    assertThat(plan.echo()).isTrue();
    assertThat(plan.sampling().parameters().promptLogprobs()).isEqualTo(2);
    assertThat(completion("'echo':true").sampling().parameters().promptLogprobs()).isEqualTo(-1);
    assertThat(completion("'logprobs':2").sampling().parameters().promptLogprobs()).isEqualTo(-1);
    assertThat(completion("'echo':true,'logprobs':2").scoresPrompt()).isFalse();
    assertThat(completion("'prompt_logprobs':0").scoresPrompt()).isTrue();
  }

  @Test
  void refusesToStreamScoresOfThePrompt() {
    assertThat(refusedCompletion("'prompt_logprobs':1,'stream':true").message())
        .isEqualTo("prompt_logprobs cannot be streamed; set stream to false");
  }

  @Test
  void answersAreNumberedPromptByPrompt() {
    GenerationPlan plan = CompletionParser.parse(json("{'prompt':['a','b'],'n':2}"), SERVED);
    assertThat(plan.promptOf(1)).containsExactly('^', 'a');
    assertThat(plan.promptOf(2)).containsExactly('^', 'b');
    assertThat(plan.requests(SERVED))
        .extracting(request -> (char) request.prompt()[1])
        .containsExactly('a', 'a', 'b', 'b');
  }
}
