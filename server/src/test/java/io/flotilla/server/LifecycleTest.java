package io.flotilla.server;

import static io.flotilla.server.TestServer.CHAT;
import static org.assertj.core.api.Assertions.assertThat;

import io.flotilla.engine.TokenEvent.FinishReason;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** A server that ends, and one whose engine has failed. */
@Timeout(30)
class LifecycleTest {
  private static final String ASK = "{'messages':[{'role':'user','content':'hi'}]}";

  private final FakeModel model = new FakeModel();
  private final TestServer server = TestServer.of(model);

  @AfterEach
  void close() {
    server.close();
  }

  @Test
  void drainingLetsWhatRunsFinishAndRefusesMore() throws Exception {
    CompletableFuture<HttpResponse<String>> running = server.postLater(CHAT, ASK);
    FakeGeneration generation = model.started();
    CompletableFuture<Void> drained = drain(Duration.ofSeconds(20));
    TestServer.await("the model is drained", model::isDrained);
    HttpResponse<String> refused = server.post(CHAT, ASK);
    assertThat(refused.statusCode()).isEqualTo(503);
    assertThat(TestServer.parse(refused).at("/error/code").stringValue()).isEqualTo("draining");
    assertThat(server.get("/health").statusCode()).isEqualTo(503);
    assertThat(drained).isNotDone();
    generation.say("to the end").end(FinishReason.STOP);
    assertThat(running.get(10, TimeUnit.SECONDS).body()).contains("to the end");
    drained.get(10, TimeUnit.SECONDS);
  }

  /** The end of a stream's body is the last that is written. */
  @RepeatedTest(20)
  void drainingLetsStreamsEnd() throws Exception {
    String ask = ASK.replace("}]", "}],'stream':true");
    List<CompletableFuture<HttpResponse<String>>> streams =
        Stream.generate(() -> server.postLater(CHAT, ask)).limit(8).toList();
    List<FakeGeneration> generations = new ArrayList<>();
    while (generations.size() < streams.size()) {
      generations.add(model.started());
    }
    CompletableFuture<Void> drained = drain(Duration.ofSeconds(20));
    TestServer.await("the model is drained", model::isDrained);
    generations.forEach(generation -> generation.say("all of it").end(FinishReason.STOP));
    drained.get(10, TimeUnit.SECONDS);
    for (CompletableFuture<HttpResponse<String>> stream : streams) {
      assertThat(stream.get(10, TimeUnit.SECONDS).body()).contains("[DONE]");
    }
  }

  @Test
  void drainingEndsWhenPatienceDoes() throws Exception {
    CompletableFuture<HttpResponse<String>> running = server.postLater(CHAT, ASK);
    FakeGeneration generation = model.started();
    drain(Duration.ofMillis(50)).get(10, TimeUnit.SECONDS);
    assertThat(generation.awaitClose()).isTrue();
    assertThat(running.handle((_, failure) -> failure).get(10, TimeUnit.SECONDS)).isNotNull();
  }

  @Test
  void drainingAnIdleServerTakesNoTime() throws Exception {
    assertThat(server.get("/health").statusCode()).isEqualTo(200);
    drain(Duration.ofDays(1)).get(10, TimeUnit.SECONDS);
  }

  private CompletableFuture<Void> drain(Duration patience) {
    return CompletableFuture.runAsync(
        () -> {
          try {
            server.server().drain(patience);
          } catch (InterruptedException e) {
            throw new IllegalStateException(e);
          }
        });
  }

  @Test
  void healthFollowsTheEngine() throws Exception {
    assertThat(server.get("/health").body()).isEqualTo("{\"status\":\"serving\"}");
    model.fail(new IllegalStateException("rank 0 makes no progress"));
    HttpResponse<String> response = server.get("/health");
    assertThat(response.statusCode()).isEqualTo(503);
    assertThat(TestServer.parse(response).at("/error/message").stringValue())
        .contains("rank 0 makes no progress");
  }

  @Test
  void saysItsVersion() throws Exception {
    assertThat(TestServer.parse(server.get("/version")).get("version").isString()).isTrue();
  }
}
