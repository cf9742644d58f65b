package io.flotilla.server;

import static org.assertj.core.api.Assertions.assertThat;

import io.flotilla.engine.TokenEvent.FinishReason;
import java.io.IOException;
import java.net.SocketException;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Clients that know no manners; after each of them the server serves as before. */
@Timeout(60)
class HostileClientsTest {
  private static final FakeModel MODEL =
      new FakeModel().script(it -> it.say("a").end(FinishReason.STOP));
  private static final TestServer SERVER = TestServer.of(MODEL);

  @AfterAll
  static void close() {
    SERVER.close();
  }

  @AfterEach
  void servesAsBefore() throws Exception {
    assertThat(SERVER.post(TestServer.COMPLETIONS, "{'prompt':'a'}").statusCode()).isEqualTo(200);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "garbage\r\n\r\n",
        "\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nBad Name: x\r\n\r\n",
        "POST /v1/completions HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n",
        "POST /v1/completions HTTP/1.1\r\nHost: h\r\nContent-Length: many\r\n\r\n",
        "POST /v1/completions HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001\r\n\r\n",
      })
  void whatIsNoHttpIsRefused(String garbage) throws IOException {
    try (RawConnection connection = SERVER.connect()) {
      connection.send(garbage.getBytes(StandardCharsets.ISO_8859_1));
      connection.socket().shutdownOutput();
      String answer = connection.readAll();
      assertThat(answer)
          .satisfiesAnyOf(
              it -> assertThat(it).isEmpty(), it -> assertThat(it).startsWith("HTTP/1.1 4"));
    }
  }

  @Test
  void whatIsNoHttpIsRefusedInOpenAisForm() throws IOException {
    try (RawConnection connection = SERVER.connect()) {
      connection.send("GET / HTTP/1.1\r\nHost: h\r\nno colon\r\n\r\n");
      assertThat(connection.readAll())
          .startsWith("HTTP/1.1 400")
          .contains("Content-Type: application/json")
          .contains("{\"error\":{\"message\":\"Bad Request: ")
          .contains("\"type\":\"invalid_request_error\"");
    }
  }

  @Test
  void headersWithoutAnEndAreRefused() throws IOException {
    try (RawConnection connection = SERVER.connect()) {
      connection.send("GET / HTTP/1.1\r\nHost: h\r\n");
      try {
        for (int i = 0; i < 10_000; i++) {
          connection.send("X-" + i + ": " + "x".repeat(1000) + "\r\n");
        }
        throw new AssertionError("10 MB of headers were taken");
      } catch (SocketException _) {
        // Closed by the server.
      }
    }
  }

  @Test
  void aBodyOfHundredMegabytesIsRefused() throws Exception {
    String body = "{'prompt':'" + "x".repeat(100_000_000) + "'}";
    var response = SERVER.post(TestServer.COMPLETIONS, body);
    assertThat(response.statusCode()).isEqualTo(413);
    assertThat(TestServer.parse(response).at("/error/message").stringValue())
        .isEqualTo(
            "the body has more than 33554432 bytes; send less, or raise --max-body-bytes of the"
                + " server");
  }

  @Test
  void aBodyOfUnknownLengthIsRefusedWhenItIsTooLong() throws Exception {
    try (RawConnection connection = SERVER.connect()) {
      connection.send(
          "POST /v1/completions HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
      byte[] chunk = ("100000\r\n" + " ".repeat(1 << 20) + "\r\n").getBytes(StandardCharsets.UTF_8);
      for (int i = 0; i < 40; i++) {
        connection.send(chunk);
      }
      connection.send("0\r\n\r\n");
      assertThat(connection.readAll()).startsWith("HTTP/1.1 413").contains("body_too_large");
    }
  }

  @Test
  void aClientThatAsksBeforeItSendsIsToldToGoOn() throws IOException {
    try (RawConnection connection = SERVER.connect()) {
      connection.send("POST /v1/completions HTTP/1.1\r\nHost: h\r\n");
      connection.send("Expect: 100-continue\r\nContent-Length: 14\r\n\r\n");
      assertThat(connection.readTo("\r\n\r\n")).startsWith("HTTP/1.1 100");
      connection.send("{\"prompt\":\"a\"}");
      assertThat(connection.readTo("\r\n\r\n")).startsWith("HTTP/1.1 200");
    }
  }

  @Test
  void aClientThatLeavesAmidItsBodyHoldsNothing() throws Exception {
    try (RawConnection connection = SERVER.connect()) {
      connection.send("POST /v1/completions HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n{");
    }
    assertThat(SERVER.get("/health").statusCode()).isEqualTo(200);
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "[]", "{'prompt':NaN}", "{'prompt':'a','temperature':NaN}", "\u0000"})
  void whatIsNoRequestIsRefused(String body) throws Exception {
    var response = SERVER.post(TestServer.COMPLETIONS, body);
    assertThat(response.statusCode()).isEqualTo(400);
    assertThat(TestServer.parse(response).at("/error/type").stringValue())
        .isEqualTo("invalid_request_error");
  }

  @Test
  void requestsInOneGoAreAnsweredInOrder() throws IOException {
    try (RawConnection connection = SERVER.connect()) {
      String healthy = "GET /health HTTP/1.1\r\nHost: h\r\n\r\n";
      String last = "GET /nowhere HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
      connection.send(healthy + last);
      assertThat(connection.readAll()).startsWith("HTTP/1.1 200").contains("HTTP/1.1 404");
    }
  }
}
