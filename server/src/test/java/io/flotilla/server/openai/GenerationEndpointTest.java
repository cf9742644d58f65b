package io.flotilla.server.openai;

import static io.flotilla.server.openai.Requests.chatBody;
import static io.flotilla.server.openai.Requests.completionBody;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import io.flotilla.engine.TokenEvent.FailureCode;
import io.flotilla.engine.TokenEvent.FinishReason;
import io.flotilla.generation.GenerationEvent.Failed;
import io.flotilla.server.FakeGeneration;
import io.flotilla.server.FakeModel;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;

/** What becomes of choices that fail, and of clients that leave. */
@Timeout(20)
class GenerationEndpointTest {
  private final FakeModel model = new FakeModel();
  private final Endings endings = new Endings();
  private final Endpoint chat =
      GenerationEndpoint.chat(new ServedModel(model, List.of("fake"), 0), endings);

  @ParameterizedTest
  @CsvSource({
    "OVERLOADED,429,rate_limit_error,overloaded",
    "TOO_LONG,400,invalid_request_error,context_length_exceeded",
    "DRAINING,503,server_error,draining",
    "INVALID_LOGITS,500,server_error,invalid_logits",
    "REPLICA_FAILED,503,server_error,replica_failed",
  })
  void aFailureBeforeTheAnswerIsItsStatus(
      FailureCode failure, int status, String type, String code) {
    model.script(it -> it.add(new Failed(failure, "why")));
    for (String fields : List.of("", "'stream':true")) {
      FakeExchange exchange = new FakeExchange(chatBody(fields));
      RefusedException refused =
          catchThrowableOfType(RefusedException.class, () -> chat.handle(exchange));
      assertThat(refused.error().status()).isEqualTo(status);
      assertThat(refused.error().type()).isEqualTo(type);
      assertThat(refused.error().code()).isEqualTo(code);
      assertThat(exchange.hasBegun()).isFalse();
    }
    assertThat(endings.reasons()).containsExactly("error", "error");
  }

  @Test
  void aFailureInAStreamIsItsLastEvent() throws InterruptedException {
    model.script(it -> it.say("a").add(new Failed(FailureCode.REPLICA_FAILED, "rank 0 is lost")));
    FakeExchange exchange = new FakeExchange(chatBody("'stream':true"));
    chat.handle(exchange);
    JsonNode last = exchange.streamed().getLast();
    assertThat(last.at("/error/message").stringValue()).isEqualTo("rank 0 is lost");
    assertThat(last.at("/error/type").stringValue()).isEqualTo("server_error");
    assertThat(endings.reasons()).containsExactly("error");
  }

  @Test
  void aFailedChoiceEndsTheOthers() throws InterruptedException {
    model.script(
        it -> {
          if (it.request().sampling().choice() == 1) {
            it.add(new Failed(FailureCode.OVERLOADED, "the queue is full"));
          }
        });
    assertThatThrownBy(() -> chat.handle(new FakeExchange(chatBody("'n':3"))))
        .isInstanceOf(RefusedException.class)
        .hasMessage("the queue is full");
    for (int i = 0; i < 3; i++) {
      assertThat(model.started().awaitClose()).isTrue();
    }
    assertThat(endings.reasons()).containsExactlyInAnyOrder("error", "abort", "abort");
  }

  @ParameterizedTest
  @ValueSource(strings = {"'n':2", "'n':2,'stream':true"})
  void choicesOfAClientThatLeavesAreClosed(String fields) throws Exception {
    FakeExchange exchange = new FakeExchange(chatBody(fields));
    CompletableFuture<Void> handled = CompletableFuture.runAsync(() -> handle(chat, exchange));
    FakeGeneration first = model.started();
    FakeGeneration second = model.started();
    first.say("a").end(FinishReason.STOP);
    exchange.leave();
    assertThat(second.awaitClose()).isTrue();
    assertThatThrownBy(() -> handled.get(10, TimeUnit.SECONDS))
        .isInstanceOf(ExecutionException.class)
        .hasCauseInstanceOf(ClientGoneException.class);
    assertThat(endings.reasons()).containsExactly("stop", "abort");
  }

  @Test
  void aClientThatLeavesWhileAWholeAnswerComesIsNoticed() throws Exception {
    FakeExchange exchange = new FakeExchange(chatBody(""));
    CompletableFuture<Void> handled = CompletableFuture.runAsync(() -> handle(chat, exchange));
    FakeGeneration generation = model.started();
    exchange.leave();
    while (!handled.isDone()) {
      generation.say("a");
      TimeUnit.MILLISECONDS.sleep(1);
    }
    assertThat(handled).isCompletedExceptionally();
    assertThat(generation.awaitClose()).isTrue();
    assertThat(endings.reasons()).containsExactly("abort");
  }

  private static void handle(Endpoint endpoint, FakeExchange exchange) {
    try {
      endpoint.handle(exchange);
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }

  @Test
  void aChoiceThatBreaksOffIsABug() {
    model.script(it -> it.breakOff(new IllegalStateException("bug")));
    assertThatThrownBy(() -> chat.handle(new FakeExchange(chatBody(""))))
        .isInstanceOf(IllegalStateException.class)
        .hasRootCauseMessage("bug");
    assertThat(endings.reasons()).containsExactly("error");
  }

  @Test
  void hearsOfTokens() throws InterruptedException {
    model.script(it -> it.say("a").say("").say("b").say("c").end(FinishReason.STOP));
    chat.handle(new FakeExchange(chatBody("")));
    assertThat(endings.firstTokens()).isEqualTo(1);
    assertThat(endings.nextTokens()).isEqualTo(2);
    assertThat(endings.reasons()).containsExactly("stop");
  }

  @Test
  void generatesNothingForARequestThatIsRefused() {
    assertThatThrownBy(() -> chat.handle(new FakeExchange(chatBody("'n':0"))))
        .isInstanceOf(RefusedException.class);
    Endpoint completions =
        GenerationEndpoint.completions(new ServedModel(model, List.of("fake"), 0), endings);
    assertThatThrownBy(() -> completions.handle(new FakeExchange(completionBody("'n':0"))))
        .isInstanceOf(RefusedException.class);
    assertThat(model.hasStarted()).isFalse();
    assertThat(endings.reasons()).isEmpty();
  }
}
