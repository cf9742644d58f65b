package io.flotilla.server;

import static org.assertj.core.api.Assertions.assertThat;

import dev.langchain4j.model.chat.response.ChatResponse;
import dev.langchain4j.model.chat.response.StreamingChatResponseHandler;
import dev.langchain4j.model.openai.OpenAiChatModel;
import dev.langchain4j.model.openai.OpenAiStreamingChatModel;
import io.flotilla.engine.TokenEvent.FinishReason;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** LangChain4j's module for OpenAI, as it is. */
@Timeout(60)
class LangChain4jClientTest {
  private static final TestServer SERVER =
      TestServer.of(new FakeModel().script(it -> it.say("Hel").say("lo").end(FinishReason.STOP)));

  @AfterAll
  static void close() {
    SERVER.close();
  }

  @Test
  void chats() {
    OpenAiChatModel model =
        OpenAiChatModel.builder()
            .baseUrl(SERVER.uri("/v1").toString())
            .apiKey("none")
            .modelName("fake")
            .temperature(0.5)
            .build();
    assertThat(model.chat("hi")).isEqualTo("Hello");
  }

  @Test
  void streamsAChat() throws Exception {
    OpenAiStreamingChatModel model =
        OpenAiStreamingChatModel.builder()
            .baseUrl(SERVER.uri("/v1").toString())
            .apiKey("none")
            .modelName("fake")
            .build();
    List<String> pieces = Collections.synchronizedList(new ArrayList<>());
    CompletableFuture<ChatResponse> complete = new CompletableFuture<>();
    model.chat(
        "hi",
        new StreamingChatResponseHandler() {
          @Override
          public void onPartialResponse(String piece) {
            pieces.add(piece);
          }

          @Override
          public void onCompleteResponse(ChatResponse response) {
            complete.complete(response);
          }

          @Override
          public void onError(Throwable error) {
            complete.completeExceptionally(error);
          }
        });
    ChatResponse response = complete.get(30, TimeUnit.SECONDS);
    assertThat(pieces).containsExactly("Hel", "lo");
    assertThat(response.aiMessage().text()).isEqualTo("Hello");
    assertThat(response.tokenUsage().outputTokenCount()).isEqualTo(5);
  }
}
