package io.flotilla.server.openai;

import static io.flotilla.server.openai.Requests.SERVED;
import static io.flotilla.server.openai.Requests.chat;
import static io.flotilla.server.openai.Requests.json;
import static io.flotilla.server.openai.Requests.refusal;
import static io.flotilla.server.openai.Requests.refusedChat;
import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class ChatParserTest {
  @Test
  void rendersTheConversation() {
    assertThat(
            prompt(
                "{'messages':[{'role':'system','content':'S'},{'role':'user','content':'U'},"
                    + "{'role':'assistant','content':'A'},{'role':'developer','content':'D'}]}"))
        .isEqualTo("<system>S<user>U<assistant>A<system>D<assistant>");
  }

  @Test
  void joinsTextParts() {
    assertThat(
            prompt(
                "{'messages':[{'role':'user','content':[{'type':'text','text':'a'},"
                    + "{'type':'text','text':'b'}]}]}"))
        .isEqualTo("<user>a\nb<assistant>");
  }

  @Test
  void passesVariablesToTheTemplate() {
    assertThat(
            prompt(
                "{'messages':[{'role':'user','content':'a'}],'add_generation_prompt':false,"
                    + "'chat_template_kwargs':{'think':false}}"))
        .isEqualTo("<user>a{thinkfalse}");
  }

  @Test
  void takesHarmlessFieldsOfMessages() {
    assertThat(
            prompt(
                "{'messages':[{'role':'assistant','content':'a','name':'n','refusal':null,"
                    + "'annotations':[],'tool_calls':[],'function_call':null,'audio':null}]}"))
        .isEqualTo("<assistant>a<assistant>");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      nullValues = "null",
      value = {
        "{}|messages|messages is missing or empty; give at least one message",
        "{'messages':[]}|messages|messages is missing or empty; give at least one message",
        "{'messages':'hi'}|messages|messages is a string; it must be a list",
        "{'messages':['hi']}|messages[0]|messages[0] is a string; it must be an object",
        "{'messages':[{'content':'a'}]}|messages[0].role|messages[0].role is missing",
        "{'messages':[{'role':1,'content':'a'}]}|messages[0].role|"
            + "messages[0].role is a number; it must be a string",
        "{'messages':[{'role':'king','content':'a'}]}|messages[0].role|"
            + "messages[0].role is king; it must be system, developer, user or assistant",
        "{'messages':[{'role':'tool','content':'a'}]}|messages[0].role|"
            + "messages[0].role is tool, which is not supported yet",
        "{'messages':[{'role':'user'}]}|messages[0].content|"
            + "messages[0].content is missing; give a string",
        "{'messages':[{'role':'user','content':null}]}|messages[0].content|"
            + "messages[0].content is missing; give a string",
        "{'messages':[{'role':'user','content':5}]}|messages[0].content|"
            + "messages[0].content is a number; it must be a string or a list of text parts",
        "{'messages':[{'role':'user','content':['a']}]}|messages[0].content[0]|"
            + "messages[0].content[0] is a string; it must be an object",
        "{'messages':[{'role':'user','content':[{'text':'a'}]}]}|messages[0].content[0].type|"
            + "messages[0].content[0].type is missing; only text parts are supported yet",
        "{'messages':[{'role':'user','content':[{'type':'image_url','image_url':{}}]}]}|"
            + "messages[0].content[0].type|messages[0].content[0].type is image_url; only text"
            + " parts are supported yet",
        "{'messages':[{'role':'user','content':[{'type':'text'}]}]}|messages[0].content[0].text|"
            + "messages[0].content[0].text is missing",
        "{'messages':[{'role':'user','content':[{'type':'text','text':'a','x':1}]}]}|"
            + "messages[0].content[0].x|unknown field messages[0].content[0].x; leave it out",
        "{'messages':[{'role':'user','content':'a'},{'role':'user','content':'a','x':1}]}|"
            + "messages[1].x|unknown field messages[1].x; leave it out",
        "{'messages':[{'role':'assistant','content':'a','tool_calls':[{}]}]}|"
            + "messages[0].tool_calls|messages[0].tool_calls is not supported yet",
        "{'messages':[{'role':'user','content':'\\ud800'}]}|messages[0].content|"
            + "messages[0].content has half a surrogate pair at 0; it is no Unicode text",
        "{'messages':[{'role':'user','content':'refuse me'}]}|messages|"
            + "the template refuses this",
        "{'messages':[{'role':'user','content':'a'}],'prompt':'a'}|prompt|"
            + "unknown field prompt; leave it out",
        "{'messages':[{'role':'user','content':'a'}],'model':'gpt-4'}|model|"
            + "the model gpt-4 does not exist; this server serves fake, alias",
        "{'messages':[{'role':'user','content':'a'}],'model':7}|model|"
            + "model is a number; it must be a string",
        "{'messages':[{'role':'user','content':'a'}],'echo':true}|echo|"
            + "echo is supported only as false; the answer alone is sent",
        "{'messages':[{'role':'user','content':'a'}],'add_special_tokens':true}|"
            + "add_special_tokens|add_special_tokens is supported only as false; the chat template"
            + " has the special tokens",
        "{'messages':[{'role':'user','content':'a'}],'chat_template_kwargs':[]}|"
            + "chat_template_kwargs|chat_template_kwargs is a list; it must be an object",
      })
  void refusesByName(String body, String param, String message) {
    OpenAiError error = refusal(json(body), ChatParser::parse);
    assertThat(error.message()).isEqualTo(message);
    assertThat(error.param()).isEqualTo(param);
  }

  @Test
  void anUnknownModelIsNotFound() {
    OpenAiError error = refusedChat("'model':'gpt-4'");
    assertThat(error.status()).isEqualTo(404);
    assertThat(error.code()).isEqualTo("model_not_found");
  }

  @Test
  void answersCallTheModelAsTheRequestDid() {
    assertThat(chat("'model':'alias'").model()).isEqualTo("alias");
    assertThat(chat("").model()).isEqualTo("fake");
  }

  @Test
  void refusesAConversationThatRendersToNothing() {
    OpenAiError error =
        refusal(json("{'messages':[{'role':'user','content':'vanish'}]}"), ChatParser::parse);
    assertThat(error.message()).isEqualTo("messages render to nothing; give one some content");
  }

  @Test
  void readsLogprobs() {
    assertThat(chat("'logprobs':true").sampling().parameters().logprobs()).isZero();
    assertThat(chat("'logprobs':true,'top_logprobs':20").sampling().parameters().logprobs())
        .isEqualTo(20);
    assertThat(chat("'logprobs':false,'top_logprobs':0").hasLogprobs()).isFalse();
    assertThat(refusedChat("'top_logprobs':2").message())
        .isEqualTo("top_logprobs needs logprobs to be true; set it or leave this out");
    assertThat(refusedChat("'logprobs':true,'top_logprobs':21").message())
        .isEqualTo("top_logprobs is 21; it must be 0 to 20");
    assertThat(refusedChat("'logprobs':5").message())
        .isEqualTo("logprobs is a number; it must be true or false");
  }

  @Test
  void readsPromptLogprobs() {
    GenerationPlan plan = chat("'prompt_logprobs':3");
    assertThat(plan.sampling().parameters().promptLogprobs()).isEqualTo(3);
    assertThat(plan.scoresPrompt()).isTrue();
    assertThat(chat("").scoresPrompt()).isFalse();
    assertThat(refusedChat("'prompt_logprobs':3,'stream':true").param())
        .isEqualTo("prompt_logprobs");
  }

  @Test
  void theNewerLimitWins() {
    assertThat(chat("'max_tokens':5").maxTokens()).containsExactly(5);
    assertThat(chat("'max_completion_tokens':6").maxTokens()).containsExactly(6);
    assertThat(chat("'max_tokens':5,'max_completion_tokens':6").maxTokens()).containsExactly(6);
  }

  @Test
  void anAnswerWithoutALimitFillsTheContext() {
    GenerationPlan plan = chat("");
    assertThat(plan.maxTokens().getFirst() + plan.prompts().getFirst().length).isEqualTo(64);
  }

  @Test
  void refusesWhatDoesNotFitTheContext() {
    OpenAiError error = refusedChat("'max_completion_tokens':46");
    assertThat(error.status()).isEqualTo(400);
    assertThat(error.code()).isEqualTo("context_length_exceeded");
    assertThat(error.param()).isEqualTo("max_completion_tokens");
    assertThat(error.message())
        .isEqualTo(
            "the prompt has 19 tokens and max_completion_tokens is 46, together more than the"
                + " model's context length of 64; set max_completion_tokens to at most 45 or"
                + " shorten the prompt");
    assertThat(chat("'max_completion_tokens':45").maxTokens()).containsExactly(45);
  }

  @Test
  void refusesAPromptLongerThanTheContext() {
    OpenAiError error =
        refusal(
            json("{'messages':[{'role':'user','content':'" + "x".repeat(100) + "'}]}"),
            ChatParser::parse);
    assertThat(error.code()).isEqualTo("context_length_exceeded");
    assertThat(error.message())
        .isEqualTo(
            "the prompt has 117 tokens and the model's context length is 64, the answer included;"
                + " shorten the prompt");
  }

  @Test
  void readsHowTheAnswerIsSent() {
    assertThat(chat("").stream()).isEqualTo(new StreamFields(false, false));
    assertThat(chat("'stream':true").stream()).isEqualTo(new StreamFields(true, false));
    assertThat(chat("'stream':true,'stream_options':{'include_usage':true}").stream())
        .isEqualTo(new StreamFields(true, true));
    assertThat(
            chat(
                "'stream':true,'stream_options':{'include_usage':false,"
                    + "'include_obfuscation':true}")
                .stream())
        .isEqualTo(new StreamFields(true, false));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "'stream_options':{'include_usage':true}|stream_options",
        "'stream':true,'stream_options':true|stream_options",
        "'stream':true,'stream_options':{'include_usage':1}|stream_options.include_usage",
        "'stream':true,'stream_options':{'continuous_usage_stats':true}|"
            + "stream_options.continuous_usage_stats",
        "'stream':true,'stream_options':{'x':true}|stream_options.x",
      })
  void refusesOptionsOfNoStream(String fields, String param) {
    assertThat(refusedChat(fields).param()).isEqualTo(param);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "'user':'u'",
        "'store':true",
        "'metadata':{'a':'b'}",
        "'parallel_tool_calls':true",
        "'service_tier':'auto'",
        "'tools':[]",
        "'tool_choice':'none'",
        "'response_format':{'type':'text'}",
        "'modalities':['text']",
        "'use_beam_search':false",
        "'length_penalty':1",
        "'length_penalty':1.0",
        "'priority':0",
        "'bad_words':[]",
      })
  void takesWhatChangesNothing(String fields) {
    assertThat(chat(fields).prompts()).hasSize(1);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "tools|[{'type':'function'}]",
        "tool_choice|'auto'",
        "functions|[{}]",
        "function_call|'auto'",
        "response_format|{'type':'json_object'}",
        "response_format|{'type':'json_schema','json_schema':{}}",
        "guided_json|{'type':'object'}",
        "guided_regex|'a+'",
        "structured_outputs|{'json':{}}",
        "audio|{'voice':'x'}",
        "modalities|['text','audio']",
        "prediction|{'type':'content','content':'x'}",
        "reasoning_effort|'low'",
        "use_beam_search|true",
        "length_penalty|2",
        "priority|1",
        "bad_words|['a']",
        "allowed_token_ids|[1]",
        "truncate_prompt_tokens|5",
        "chat_template|'{{x}}'",
        "continue_final_message|true",
        "logits_processors|['x']",
      })
  void refusesWhatIsNotSupportedYetByName(String field, String value) {
    OpenAiError error = refusedChat("'" + field + "':" + value);
    assertThat(error.status()).isEqualTo(400);
    assertThat(error.param()).isEqualTo(field);
    assertThat(error.message()).isEqualTo(field + " is not supported yet; leave it out");
  }

  @Test
  void refusesAbsurdNumbersThatAskForNothing() {
    assertThat(refusedChat("'priority':" + "9".repeat(400)).param()).isEqualTo("priority");
  }

  private static String prompt(String body) {
    GenerationPlan plan = ChatParser.parse(json(body), SERVED);
    assertThat(plan.prompts()).hasSize(1);
    return SERVED.model().tokenizer().decode(plan.prompts().getFirst(), false);
  }
}
