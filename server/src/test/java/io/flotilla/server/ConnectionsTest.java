package io.flotilla.server;

import static io.flotilla.server.TestServer.CHAT;
import static io.flotilla.server.TestServer.COMPLETIONS;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.flotilla.engine.TokenEvent.FinishReason;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.http.HttpResponse;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Connections that live long, end early, or are read slowly. */
@Timeout(60)
class ConnectionsTest {
  private static final String ASK = "{'messages':[{'role':'user','content':'hi'}]}";
  private static final String STREAM =
      "{'messages':[{'role':'user','content':'hi'}],'stream':true}";

  private final FakeModel model = new FakeModel();
  private final TestServer server = TestServer.of(model);

  @AfterEach
  void close() {
    server.close();
  }

  @ParameterizedTest
  @ValueSource(strings = {ASK, STREAM})
  void anAnswerThatTakesLongArrivesWhole(String body) throws Exception {
    CompletableFuture<HttpResponse<String>> answer = server.postLater(CHAT, body);
    FakeGeneration generation = model.started();
    // Longer than the HTTP server's own looks at idle connections.
    assertThatThrownBy(() -> answer.get(2500, TimeUnit.MILLISECONDS))
        .isInstanceOf(TimeoutException.class);
    generation.say("whole").end(FinishReason.STOP);
    HttpResponse<String> response = answer.get(10, TimeUnit.SECONDS);
    assertThat(response.statusCode()).isEqualTo(200);
    assertThat(response.body()).contains("whole").containsAnyOf("[DONE]", "\"usage\"");
  }

  @Test
  void aConnectionServesOneRequestAfterAnother() throws Exception {
    model.script(it -> it.say("a").end(FinishReason.STOP));
    try (RawConnection connection = server.connect()) {
      for (int i = 0; i < 3; i++) {
        connection.post(CHAT, STREAM);
        assertThat(connection.readTo("data: [DONE]\n\n\r\n0\r\n\r\n")).contains("HTTP/1.1 200");
        connection.post(CHAT, ASK);
        assertThat(connection.readTo("}}}")).contains("HTTP/1.1 200");
      }
    }
  }

  @Test
  void aConnectionThatWasWatchedServesTheNextRequest() throws Exception {
    try (RawConnection connection = server.connect()) {
      connection.post(CHAT, ASK);
      FakeGeneration slow = model.started();
      TestServer.await("a second passes", new Deadline(1)::hasPassed);
      slow.say("first").end(FinishReason.STOP);
      assertThat(connection.readTo("}}}")).contains("first");
      connection.post(CHAT, ASK);
      model.started().say("second").end(FinishReason.STOP);
      assertThat(connection.readTo("}}}")).contains("second");
    }
  }

  private static final class Deadline {
    private final long end;

    Deadline(int seconds) {
      end = System.nanoTime() + TimeUnit.SECONDS.toNanos(seconds);
    }

    boolean hasPassed() {
      return System.nanoTime() > end;
    }
  }

  @Test
  void streamsEveryEventWhenItComes() throws Exception {
    try (RawConnection connection = server.connect()) {
      connection.post(CHAT, STREAM);
      FakeGeneration generation = model.started();
      generation.say("first");
      String head = connection.readTo("first\"}");
      assertThat(head)
          .contains("Content-Type: text/event-stream; charset=utf-8")
          .contains("Cache-Control: no-cache")
          .contains("X-Accel-Buffering: no");
      generation.say("second");
      assertThat(connection.readTo("second\"}")).contains("data: ");
      generation.end(FinishReason.STOP);
      assertThat(connection.readTo("[DONE]")).contains("\"finish_reason\":\"stop\"");
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {ASK, STREAM})
  void aClientThatLeavesBeforeTheFirstTokenEndsItsChoice(String body) throws Exception {
    FakeGeneration generation;
    try (RawConnection connection = server.connect()) {
      connection.post(CHAT, body);
      generation = model.started();
    }
    assertThat(generation.awaitClose()).isTrue();
    awaitAbort();
  }

  @Test
  void aClientThatLeavesAmidAStreamEndsItsChoice() throws Exception {
    FakeGeneration generation;
    try (RawConnection connection = server.connect()) {
      connection.post(CHAT, STREAM);
      generation = model.started();
      generation.say("first");
      connection.readTo("first");
    }
    awaitCloseWhileItSpeaks(generation);
    awaitAbort();
  }

  @Test
  void aClientThatResetsItsConnectionEndsItsChoice() throws Exception {
    FakeGeneration generation;
    try (RawConnection connection = server.connect()) {
      connection.post(CHAT, STREAM);
      generation = model.started();
      generation.say("first");
      connection.readTo("first");
      connection.socket().setSoLinger(true, 0);
    }
    awaitCloseWhileItSpeaks(generation);
    awaitAbort();
  }

  private static void awaitCloseWhileItSpeaks(FakeGeneration generation)
      throws InterruptedException {
    TestServer.await("the choice is closed", () -> generation.say("more").isClosed());
  }

  private void awaitAbort() throws InterruptedException {
    TestServer.await("the abort is counted", () -> aborts() == 1);
  }

  private double aborts() {
    try {
      return server.metric("request_success_total", "finished_reason=\"abort\"");
    } catch (IOException | InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }

  @Test
  void aSlowReaderOfAStreamHoldsUpNobody() throws Exception {
    try (Socket socket = new Socket()) {
      socket.setReceiveBufferSize(4096);
      socket.connect(new InetSocketAddress(InetAddress.getLoopbackAddress(), server.port()));
      RawConnection slow = new RawConnection(socket);
      slow.post(CHAT, STREAM);
      FakeGeneration endless = model.started();
      String much = "x".repeat(10_000);
      for (int i = 0; i < 2_000; i++) {
        endless.say(much);
      }
      model.script(it -> it.say("quick").end(FinishReason.STOP));
      for (int i = 0; i < 5; i++) {
        assertThat(server.post(COMPLETIONS, "{'prompt':'a'}").body()).contains("quick");
      }
      endless.end(FinishReason.STOP);
      assertThat(endless.isClosed()).isFalse();
    }
  }
}
