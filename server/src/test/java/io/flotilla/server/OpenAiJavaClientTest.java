package io.flotilla.server;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.openai.client.OpenAIClient;
import com.openai.client.okhttp.OpenAIOkHttpClient;
import com.openai.core.http.StreamResponse;
import com.openai.errors.BadRequestException;
import com.openai.models.chat.completions.ChatCompletion;
import com.openai.models.chat.completions.ChatCompletionChunk;
import com.openai.models.chat.completions.ChatCompletionCreateParams;
import com.openai.models.chat.completions.ChatCompletionStreamOptions;
import com.openai.models.completions.Completion;
import com.openai.models.completions.CompletionCreateParams;
import com.openai.models.models.Model;
import io.flotilla.engine.TokenEvent.FinishReason;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** OpenAI's own client for Java, as it is. */
@Timeout(60)
class OpenAiJavaClientTest {
  private static final TestServer SERVER =
      TestServer.of(new FakeModel().script(it -> it.say("Hel").say("lo").end(FinishReason.LENGTH)));
  private static final OpenAIClient CLIENT =
      OpenAIOkHttpClient.builder()
          .baseUrl(SERVER.uri("/v1").toString())
          .apiKey("none")
          .maxRetries(0)
          .build();

  @AfterAll
  static void close() {
    CLIENT.close();
    SERVER.close();
  }

  @Test
  void chats() {
    ChatCompletion answer = CLIENT.chat().completions().create(chat(0.5));
    assertThat(answer.choices().getFirst().message().content()).hasValue("Hello");
    assertThat(answer.choices().getFirst().finishReason())
        .isEqualTo(ChatCompletion.Choice.FinishReason.LENGTH);
    assertThat(answer.usage().orElseThrow().completionTokens()).isEqualTo(5);
  }

  @Test
  void streamsAChat() {
    ChatCompletionCreateParams params =
        chat(0.5).toBuilder()
            .streamOptions(ChatCompletionStreamOptions.builder().includeUsage(true).build())
            .build();
    try (StreamResponse<ChatCompletionChunk> stream =
        CLIENT.chat().completions().createStreaming(params)) {
      List<ChatCompletionChunk> chunks = stream.stream().toList();
      StringBuilder text = new StringBuilder();
      for (ChatCompletionChunk chunk : chunks) {
        chunk.choices().forEach(choice -> choice.delta().content().ifPresent(text::append));
      }
      assertThat(text.toString()).isEqualTo("Hello");
      assertThat(chunks.getLast().usage().orElseThrow().totalTokens()).isEqualTo(24);
    }
  }

  @Test
  void completes() {
    Completion answer = CLIENT.completions().create(completion());
    assertThat(answer.choices().getFirst().text()).isEqualTo("Hello");
  }

  @Test
  void streamsACompletion() {
    try (StreamResponse<Completion> stream = CLIENT.completions().createStreaming(completion())) {
      StringBuilder text = new StringBuilder();
      stream.stream()
          .forEach(chunk -> chunk.choices().forEach(choice -> text.append(choice.text())));
      assertThat(text.toString()).isEqualTo("Hello");
    }
  }

  @Test
  void listsModels() {
    assertThat(CLIENT.models().list().data()).extracting(Model::id).containsExactly("fake");
    assertThat(CLIENT.models().retrieve("fake").id()).isEqualTo("fake");
  }

  @Test
  void hearsOfErrors() {
    assertThatThrownBy(() -> CLIENT.chat().completions().create(chat(500)))
        .isInstanceOfSatisfying(
            BadRequestException.class,
            refused -> assertThat(refused.param()).hasValue("temperature"))
        .hasMessageContaining("temperature is 500");
  }

  private static ChatCompletionCreateParams chat(double temperature) {
    return ChatCompletionCreateParams.builder()
        .model("fake")
        .addUserMessage("hi")
        .temperature(temperature)
        .build();
  }

  private static CompletionCreateParams completion() {
    return CompletionCreateParams.builder().model("fake").prompt("hi").maxTokens(5).build();
  }
}
