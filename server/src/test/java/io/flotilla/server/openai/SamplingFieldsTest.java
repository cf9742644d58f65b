package io.flotilla.server.openai;

import static io.flotilla.server.openai.Requests.chat;
import static io.flotilla.server.openai.Requests.completion;
import static io.flotilla.server.openai.Requests.refusedChat;
import static io.flotilla.server.openai.Requests.refusedCompletion;
import static org.assertj.core.api.Assertions.assertThat;

import io.flotilla.generation.GenerationRequest;
import io.flotilla.model.sampling.SamplingParameters;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Fields that chats and completions share. */
class SamplingFieldsTest {
  @Test
  void unsetFieldsAreTheModelsOwn() {
    Sampling sampling = chat("").sampling();
    SamplingParameters parameters = sampling.parameters();
    assertThat(parameters.temperature()).isEqualTo(0.5f);
    assertThat(parameters.topK()).isEqualTo(40);
    assertThat(parameters.topP()).isEqualTo(0.9f);
    assertThat(parameters.minP()).isEqualTo(0.05f);
    assertThat(parameters.repetitionPenalty()).isEqualTo(1.1f);
    assertThat(parameters.presencePenalty()).isZero();
    assertThat(parameters.frequencyPenalty()).isZero();
    assertThat(parameters.logitBias()).isEmpty();
    assertThat(parameters.minTokens()).isZero();
    assertThat(parameters.stopTokens()).containsExactly(0);
    assertThat(parameters.logprobs()).isEqualTo(-1);
    assertThat(parameters.promptLogprobs()).isEqualTo(-1);
    assertThat(sampling.choices()).isEqualTo(1);
    assertThat(sampling.stop()).isEmpty();
    assertThat(sampling.includeStop()).isFalse();
    assertThat(sampling.skipSpecialTokens()).isTrue();
    assertThat(sampling.cacheSalt()).isEmpty();
  }

  @Test
  void takesEveryField() {
    String fields =
        "'temperature':0,'top_k':7,'top_p':0.25,'min_p':0.5,'repetition_penalty':1.5,"
            + "'presence_penalty':-2,'frequency_penalty':2,'logit_bias':{'5':-100,'129':1.5},"
            + "'seed':-3,'min_tokens':2,'stop_token_ids':[9,0,9],'n':3,'best_of':3,"
            + "'stop':['a','b'],'include_stop_str_in_output':true,'skip_special_tokens':false,"
            + "'cache_salt':'tenant'";
    for (GenerationPlan plan : List.of(chat(fields), completion(fields))) {
      Sampling sampling = plan.sampling();
      assertThat(sampling.parameters())
          .isEqualTo(
              new SamplingParameters(
                  0f,
                  7,
                  0.25f,
                  0.5f,
                  1.5f,
                  -2f,
                  2f,
                  Map.of(5, -100f, 129, 1.5f),
                  -3,
                  0,
                  2,
                  List.of(0, 9),
                  -1,
                  -1));
      assertThat(sampling.choices()).isEqualTo(3);
      assertThat(sampling.stop()).containsExactly("a", "b");
      assertThat(sampling.includeStop()).isTrue();
      assertThat(sampling.skipSpecialTokens()).isFalse();
      assertThat(sampling.cacheSalt()).isEqualTo("tenant");
    }
  }

  @Test
  void nullCountsAsAbsent() {
    GenerationPlan plan =
        chat("'temperature':null,'stop':null,'n':null,'logit_bias':null,'tools':null,'seed':null");
    assertThat(plan.sampling().parameters().temperature()).isEqualTo(0.5f);
    assertThat(plan.sampling().seeded()).isFalse();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "temperature|-0.1|temperature is -0.1; it must be 0.0 to 100.0",
        "temperature|101|temperature is 101; it must be 0.0 to 100.0",
        "temperature|1e999|temperature is Infinity; it must be 0.0 to 100.0",
        "temperature|'1'|temperature is a string; it must be a number",
        "temperature|'NaN'|temperature is a string; it must be a number",
        "temperature|true|temperature is a boolean; it must be a number",
        "temperature|[1]|temperature is a list; it must be a number",
        "top_p|0|top_p is 0; it must be above 0, to 1.0",
        "top_p|1.01|top_p is 1.01; it must be 0.0 to 1.0",
        "top_p|1e-400|top_p is 0; it must be above 0, to 1.0",
        "top_k|-2|top_k is -2; it must be -1 to 2147483647",
        "top_k|1.5|top_k is a number; it must be an integer",
        "top_k|2147483648|top_k is 2147483648; it must be -1 to 2147483647",
        "min_p|-0.5|min_p is -0.5; it must be 0.0 to 1.0",
        "min_p|2|min_p is 2; it must be 0.0 to 1.0",
        "repetition_penalty|0|repetition_penalty is 0; it must be above 0, to 100.0",
        "presence_penalty|2.1|presence_penalty is 2.1; it must be -2.0 to 2.0",
        "frequency_penalty|-2.1|frequency_penalty is -2.1; it must be -2.0 to 2.0",
        "seed|1.5|seed is a number; it must be an integer",
        "seed|9223372036854775808|seed does not fit 64 bits",
        "seed|'1'|seed is a string; it must be an integer",
        "n|0|n is 0; it must be 1 to 128",
        "n|129|n is 129; it must be 1 to 128",
        "n|{}|n is an object; it must be an integer",
        "best_of|2|best_of is 2, which is supported only where it equals n (1)",
        "min_tokens|-1|min_tokens is -1; it must be 0 to 64",
        "min_tokens|65|min_tokens is 65; it must be 0 to 64",
        "stop|1|stop is a number; it must be a string or a list of strings",
        "stop|''|stop has an empty string; leave it out",
        "stop|['a','']|stop has an empty string; leave it out",
        "cache_salt|''|cache_salt is empty; give a string or leave it out",
        "cache_salt|1|cache_salt is a number; it must be a string",
        "skip_special_tokens|1|skip_special_tokens is a number; it must be true or false",
        "include_stop_str_in_output|'yes'|"
            + "include_stop_str_in_output is a string; it must be true or false",
        "ignore_eos|0|ignore_eos is a number; it must be true or false",
        "stop_token_ids|3|stop_token_ids is a number; it must be a list",
        "logit_bias|[1]|logit_bias is a list; it must be an object",
        "max_tokens|0|max_tokens is 0; it must be 1 to 2147483647",
        "max_tokens|-1|max_tokens is -1; it must be 1 to 2147483647",
        "max_tokens|'5'|max_tokens is a string; it must be an integer",
        "stream|'true'|stream is a string; it must be true or false",
        "user_id|1|unknown field user_id; leave it out",
      })
  void refusesAWrongValueByName(String field, String value, String message) {
    String fields = "'" + field + "':" + value;
    for (OpenAiError error : List.of(refusedChat(fields), refusedCompletion(fields))) {
      assertThat(error.status()).isEqualTo(400);
      assertThat(error.type()).isEqualTo("invalid_request_error");
      assertThat(error.param()).isEqualTo(field);
      assertThat(error.message()).isEqualTo(message);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"temperature", "top_p", "min_p", "presence_penalty"})
  void refusesIntegersBeyondEveryRange(String field) {
    OpenAiError error = refusedChat("'" + field + "':" + "9".repeat(400));
    assertThat(error.param()).isEqualTo(field);
    assertThat(error.message()).startsWith(field + " is 9999").contains("...; it must be ");
  }

  @Test
  void namesTheElementAtFault() {
    OpenAiError error = refusedChat("'stop_token_ids':[1,130]");
    assertThat(error.param()).isEqualTo("stop_token_ids[1]");
    assertThat(error.message()).isEqualTo("stop_token_ids[1] is 130; it must be 0 to 129");
    assertThat(refusedChat("'stop':['a',1]").message())
        .isEqualTo("stop[1] is a number; it must be a string");
    assertThat(refusedChat("'stop':['a',null]").message())
        .isEqualTo("stop[1] is null; it must be a string");
  }

  @ParameterizedTest
  @ValueSource(strings = {"130", "-1", "x", "", "1.0", "99999999999"})
  void refusesABiasOfNoToken(String key) {
    OpenAiError error = refusedChat("'logit_bias':{'" + key + "':1}");
    assertThat(error.param()).isEqualTo("logit_bias");
    assertThat(error.message())
        .isEqualTo("logit_bias has the key " + key + "; keys must be ids of tokens, 0 to 129");
  }

  @Test
  void refusesABiasThatIsTooStrong() {
    OpenAiError error = refusedChat("'logit_bias':{'5':100.5}");
    assertThat(error.message()).isEqualTo("logit_bias.5 is 100.5; it must be -100.0 to 100.0");
  }

  @Test
  void refusesTooManyStops() {
    String strings = IntStream.range(0, 65).mapToObj(i -> "'" + i + "'").collect(joined());
    assertThat(refusedChat("'stop':[" + strings + "]").message())
        .isEqualTo("stop has 65 elements; at most 64");
    String ids = IntStream.range(0, 1025).mapToObj(i -> "1").collect(joined());
    assertThat(refusedChat("'stop_token_ids':[" + ids + "]").message())
        .isEqualTo("stop_token_ids has 1025 elements; at most 1024");
  }

  private static java.util.stream.Collector<CharSequence, ?, String> joined() {
    return Collectors.joining(",");
  }

  @Test
  void takesOneStopString() {
    assertThat(chat("'stop':'END'").sampling().stop()).containsExactly("END");
    assertThat(chat("'stop':[]").sampling().stop()).isEmpty();
  }

  @Test
  void minusOneKeepsAllTokens() {
    assertThat(chat("'top_k':-1").sampling().parameters().topK()).isZero();
  }

  @Test
  void anIgnoredEndStopsNothing() {
    SamplingParameters parameters =
        chat("'ignore_eos':true,'stop_token_ids':[9]").sampling().parameters();
    assertThat(parameters.stopTokens()).containsExactly(9);
  }

  @Test
  void everyChoiceOfASeededRequestHasItsSeed() {
    GenerationPlan plan =
        CompletionParser.parse(
            Requests.json("{'prompt':['a','b'],'n':2,'seed':42}"), Requests.SERVED);
    List<GenerationRequest> requests = plan.requests(Requests.SERVED);
    assertThat(requests).extracting(it -> it.sampling().seed()).containsOnly(42L);
    assertThat(requests).extracting(it -> it.sampling().choice()).containsExactly(0, 1, 0, 1);
  }

  @Test
  void equalPromptsOfARequestWithoutASeedGetUnlikeAnswers() {
    GenerationPlan plan =
        CompletionParser.parse(Requests.json("{'prompt':['a','a'],'n':2}"), Requests.SERVED);
    List<Long> seeds =
        plan.requests(Requests.SERVED).stream().map(it -> it.sampling().seed()).toList();
    assertThat(seeds.get(0)).isEqualTo(seeds.get(1)).isNotEqualTo(seeds.get(2));
    assertThat(seeds.get(2)).isEqualTo(seeds.get(3));
  }

  @Test
  void refusesMoreTokensAtLeastThanAtMost() {
    OpenAiError error = refusedCompletion("'min_tokens':6,'max_tokens':5");
    assertThat(error.param()).isEqualTo("min_tokens");
    assertThat(error.message())
        .isEqualTo(
            "min_tokens is 6, more than the 5 tokens generated at most; lower it or raise"
                + " max_tokens");
  }

  @Test
  void refusesHalfASurrogatePair() {
    for (String half : List.of("\\ud83d", "\\ude00", "\\ude00\\ud83d", "x\\ud83dx")) {
      OpenAiError error = refusedChat("'stop':'" + half + "'");
      assertThat(error.param()).isEqualTo("stop");
      assertThat(error.message()).contains("half a surrogate pair");
    }
    assertThat(chat("'stop':'\\ud83d\\ude00'").sampling().stop()).containsExactly("😀");
  }

  @Test
  void unknownFieldsAreNamedShortly() {
    OpenAiError error = refusedChat("'" + "x".repeat(1000) + "':1");
    assertThat(error.message()).isEqualTo("unknown field " + "x".repeat(40) + "...; leave it out");
  }
}
