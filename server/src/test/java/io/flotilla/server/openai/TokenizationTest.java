package io.flotilla.server.openai;

import static io.flotilla.server.openai.Requests.SERVED;
import static io.flotilla.server.openai.Requests.json;
import static io.flotilla.server.openai.Requests.refusal;
import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class TokenizationTest {
  @Test
  void tokenizesAText() {
    assertThat(tokenize("{'prompt':'ab'}"))
        .isEqualTo("{'count':3,'max_model_len':64,'tokens':[94,97,98],'token_strs':null}");
  }

  @Test
  void leavesSpecialTokensOut() {
    assertThat(tokenize("{'model':'alias','prompt':'','add_special_tokens':false}"))
        .isEqualTo("{'count':0,'max_model_len':64,'tokens':[],'token_strs':null}");
  }

  @Test
  void showsTokensAsTheVocabularyWritesThem() {
    assertThat(tokenize("{'prompt':'a','return_token_strs':true}"))
        .isEqualTo("{'count':2,'max_model_len':64,'tokens':[94,97],'token_strs':['^','a']}");
  }

  @Test
  void tokenizesAConversation() {
    assertThat(
            tokenize("{'messages':[{'role':'user','content':'a'}],'add_generation_prompt':false}"))
        .isEqualTo(
            "{'count':7,'max_model_len':64,'tokens':[60,117,115,101,114,62,97],'token_strs':null}");
  }

  @Test
  void tokenizesTextsLongerThanTheContext() {
    assertThat(tokenize("{'prompt':'" + "x".repeat(1000) + "'}")).startsWith("{'count':1001,");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "{}|give either prompt or messages",
        "{'prompt':'a','messages':[]}|give either prompt or messages",
        "{'prompt':['a']}|prompt is a list; it must be a string",
        "{'prompt':'a','x':1}|unknown field x; leave it out",
        "{'prompt':'a','add_generation_prompt':true}|"
            + "unknown field add_generation_prompt; leave it out",
        "{'messages':[]}|messages is missing or empty; give at least one message",
        "{'prompt':'a','model':'b'}|"
            + "the model b does not exist; this server serves fake, alias",
      })
  void refusesToTokenize(String body, String message) {
    assertThat(refusal(json(body), Tokenization::tokenize).message()).isEqualTo(message);
  }

  @Test
  void detokenizes() {
    assertThat(detokenize("{'tokens':[97,98,0]}")).isEqualTo("{'prompt':'ab<end>'}");
    assertThat(detokenize("{'tokens':[]}")).isEqualTo("{'prompt':''}");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "{}|tokens is missing or no list; give token ids",
        "{'tokens':'a'}|tokens is missing or no list; give token ids",
        "{'tokens':[130]}|tokens[0] is 130; it must be 0 to 129",
        "{'tokens':[1,'a']}|tokens[1] is a string; it must be an integer",
        "{'tokens':[1],'prompt':''}|unknown field prompt; leave it out",
      })
  void refusesToDetokenize(String body, String message) {
    assertThat(refusal(json(body), Tokenization::detokenize).message()).isEqualTo(message);
  }

  private static String tokenize(String body) {
    return Tokenization.tokenize(json(body), SERVED).toString().replace('"', '\'');
  }

  private static String detokenize(String body) {
    return Tokenization.detokenize(json(body), SERVED).toString().replace('"', '\'');
  }
}
