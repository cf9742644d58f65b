package io.flotilla.server;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Who may ask for what. */
@Timeout(30)
class AccessTest {
  private static final String KEY = "sk-right";

  private static final TestServer OPEN = TestServer.of(new FakeModel());
  private static final TestServer GUARDED =
      TestServer.of(new FakeModel(), options(List.of(KEY, "sk-other"), List.of()));

  @AfterAll
  static void close() {
    OPEN.close();
    GUARDED.close();
  }

  @Test
  void servesEverybodyWhereThereIsNoKey() throws Exception {
    assertThat(OPEN.get("/v1/models").statusCode()).isEqualTo(200);
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "Bearer ", "Bearer sk-wrong", "Bearer sk-righ", "Basic sk-right"})
  void refusesAWrongKey(String authorization) throws Exception {
    HttpRequest.Builder request = GUARDED.request("/v1/models");
    if (!authorization.isEmpty()) {
      request.header("Authorization", authorization);
    }
    HttpResponse<String> response = GUARDED.send(request);
    assertThat(response.statusCode()).isEqualTo(401);
    assertThat(response.headers().firstValue("WWW-Authenticate")).hasValue("Bearer");
    assertThat(TestServer.parse(response).at("/error/code").stringValue())
        .isEqualTo("invalid_api_key");
    assertThat(response.body()).doesNotContain("sk-wrong");
  }

  @ParameterizedTest
  @ValueSource(strings = {KEY, "sk-other"})
  void takesAnyOfItsKeys(String key) throws Exception {
    HttpRequest.Builder request =
        GUARDED.request("/v1/models").header("Authorization", "Bearer " + key);
    assertThat(GUARDED.send(request).statusCode()).isEqualTo(200);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "/v1/models",
        "//v1/models",
        "/v1//models",
        "/./v1/models",
        "/x/../v1/models",
        "/v1;a=b/models",
        "/%76%31/models",
        "/v1%2Fmodels",
        "/v1/models;a=b",
        "/v1/models/",
        "/V1/models",
        "http://h/v1/models",
      })
  void noSpellingOfAPathGoesAroundTheKey(String path) throws Exception {
    try (RawConnection connection = GUARDED.connect()) {
      connection.send("GET " + path + " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
      assertThat(connection.readAll()).startsWith("HTTP/1.1 4").doesNotContain("\"data\"");
    }
  }

  @Test
  void healthAndMetricsNeedNoKey() throws Exception {
    assertThat(GUARDED.get("/health").statusCode()).isEqualTo(200);
    assertThat(GUARDED.get("/metrics").statusCode()).isEqualTo(200);
    assertThat(GUARDED.get("/version").statusCode()).isEqualTo(200);
  }

  @Test
  void aRefusedBodyDoesNotDisturbTheNextRequest() throws Exception {
    try (RawConnection connection = GUARDED.connect()) {
      connection.post(TestServer.CHAT, "{'messages':'" + "x".repeat(50_000) + "'}");
      assertThat(connection.readTo("}}")).startsWith("HTTP/1.1 401");
      assertThat(GUARDED.get("/health").statusCode()).isEqualTo(200);
    }
  }

  @ParameterizedTest
  @CsvSource({
    "GET,/v1/chat/completions,POST",
    "GET,/v1/completions,POST",
    "PUT,/tokenize,POST",
    "DELETE,/detokenize,POST",
    "POST,/v1/models,GET",
    "POST,/health,GET",
    "PATCH,/metrics,GET",
  })
  void namesTheRightMethod(String method, String path, String right) throws Exception {
    HttpResponse<String> response =
        OPEN.send(OPEN.request(path).method(method, BodyPublishers.ofString("{}")));
    assertThat(response.statusCode()).isEqualTo(405);
    assertThat(response.headers().firstValue("Allow")).hasValue(right);
    assertThat(TestServer.parse(response).at("/error/message").stringValue())
        .isEqualTo(path + " takes " + right + ", not " + method);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"/", "/v1", "/v1/", "/v1/embeddings", "/chat/completions", "/favicon.ico"})
  void saysThatAPathIsUnknown(String path) throws Exception {
    HttpResponse<String> response = OPEN.get(path);
    assertThat(response.statusCode()).isEqualTo(404);
    assertThat(response.headers().firstValue("Content-Type"))
        .hasValue("application/json; charset=utf-8");
    assertThat(TestServer.parse(response).at("/error/code").stringValue()).isEqualTo("not_found");
  }

  @Test
  void browsersOfOtherOriginsMayNotReadByDefault() throws Exception {
    HttpResponse<String> response =
        OPEN.send(OPEN.request("/v1/models").header("Origin", "https://app.example"));
    assertThat(response.headers().map()).doesNotContainKey("access-control-allow-origin");
    assertThat(preflight(OPEN, "https://app.example").statusCode()).isEqualTo(405);
  }

  @Test
  void browsersOfAllowedOriginsMayRead() throws Exception {
    ServerOptions options = options(List.of(KEY), List.of("https://app.example"));
    try (TestServer server = TestServer.of(new FakeModel(), options)) {
      HttpResponse<String> allowed = preflight(server, "https://app.example");
      assertThat(allowed.statusCode()).isEqualTo(204);
      assertThat(allowed.headers().firstValue("Access-Control-Allow-Origin"))
          .hasValue("https://app.example");
      assertThat(allowed.headers().firstValue("Access-Control-Allow-Headers").orElseThrow())
          .contains("authorization", "content-type");
      assertThat(allowed.headers().firstValue("Access-Control-Allow-Methods").orElseThrow())
          .contains("POST");
      HttpResponse<String> wrongKey =
          server.send(server.request("/v1/models").header("Origin", "https://app.example"));
      assertThat(wrongKey.statusCode()).isEqualTo(401);
      assertThat(wrongKey.headers().firstValue("Access-Control-Allow-Origin"))
          .hasValue("https://app.example");
      HttpResponse<String> other = preflight(server, "https://evil.example");
      assertThat(other.headers().map()).doesNotContainKey("access-control-allow-origin");
      assertThat(other.statusCode()).isEqualTo(401);
    }
  }

  @Test
  void aStarAllowsEveryOrigin() throws Exception {
    try (TestServer server = TestServer.of(new FakeModel(), options(List.of(), List.of("*")))) {
      assertThat(
              preflight(server, "https://any.example")
                  .headers()
                  .firstValue("Access-Control-Allow-Origin"))
          .hasValue("*");
    }
  }

  private static HttpResponse<String> preflight(TestServer server, String origin)
      throws IOException, InterruptedException {
    return server.send(
        server
            .request(TestServer.CHAT)
            .header("Origin", origin)
            .header("Access-Control-Request-Method", "POST")
            .method("OPTIONS", BodyPublishers.noBody()));
  }

  @Test
  void namesThePortThatIsTaken() throws IOException {
    try (ServerSocket taken = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      ServerOptions options = ServerOptions.of("127.0.0.1", taken.getLocalPort());
      assertThatThrownBy(() -> TestServer.of(new FakeModel(), options))
          .isInstanceOf(IllegalStateException.class)
          .hasMessageStartingWith("cannot listen on 127.0.0.1 port " + taken.getLocalPort());
    }
  }

  private static ServerOptions options(List<String> keys, List<String> origins) {
    ServerOptions plain = TestServer.options();
    return new ServerOptions(
        plain.host(),
        plain.port(),
        keys,
        List.of(),
        null,
        null,
        origins,
        plain.maxBodyBytes(),
        plain.metricsPrefix());
  }
}
