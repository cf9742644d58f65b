package io.flotilla.server;

import io.flotilla.generation.EngineOptions;
import io.flotilla.generation.LanguageModel;
import java.io.IOException;
import java.net.InetAddress;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.function.BooleanSupplier;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** A server on a free port, and a client of it. Bodies are written with {@code '} for quotes. */
final class TestServer implements AutoCloseable {
  static final String CHAT = "/v1/chat/completions";
  static final String COMPLETIONS = "/v1/completions";

  private static final Duration PATIENCE = Duration.ofSeconds(60);

  private final LanguageModel model;
  private final OpenAiServer server;
  private final HttpClient client =
      HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();

  private TestServer(LanguageModel model, OpenAiServer server) {
    this.model = model;
    this.server = server;
  }

  static TestServer of(FakeModel model) {
    return of(model, options());
  }

  static TestServer of(FakeModel model, ServerOptions options) {
    return new TestServer(
        model, OpenAiServer.start(model, options, new ServerMetrics("flotilla", "fake")));
  }

  /** Serves the bundled model under the name {@code pocket}. */
  static TestServer ofPocket(int maxSequences, int maxWaiting) {
    ServerMetrics metrics = new ServerMetrics("flotilla", "pocket");
    LanguageModel model = LanguageModel.load(pocket(maxSequences, maxWaiting), metrics);
    ServerOptions plain = options();
    ServerOptions options =
        new ServerOptions(
            plain.host(),
            plain.port(),
            plain.apiKeys(),
            List.of("pocket"),
            plain.certificate(),
            plain.key(),
            plain.allowedOrigins(),
            plain.maxBodyBytes(),
            plain.metricsPrefix());
    return new TestServer(model, OpenAiServer.start(model, options, metrics));
  }

  private static EngineOptions pocket(int maxSequences, int maxWaiting) {
    String path = Path.of(System.getProperty("flotilla.root"), "models", "pocket").toString();
    EngineOptions plain = EngineOptions.of(path);
    return new EngineOptions(
        path,
        null,
        null,
        plain.loadFormat(),
        null,
        plain.dtype(),
        plain.device(),
        1,
        plain.topology(),
        plain.placement(),
        0,
        maxSequences,
        512,
        maxWaiting,
        128L << 20,
        plain.gpuMemoryUtilization(),
        plain.blockSize(),
        plain.prefixCaching(),
        0);
  }

  static ServerOptions options() {
    return ServerOptions.of("127.0.0.1", 0);
  }

  OpenAiServer server() {
    return server;
  }

  LanguageModel model() {
    return model;
  }

  int port() {
    return server.port();
  }

  URI uri(String path) {
    return URI.create("http://127.0.0.1:" + port() + path);
  }

  HttpRequest.Builder request(String path) {
    return HttpRequest.newBuilder(uri(path)).timeout(PATIENCE);
  }

  HttpResponse<String> send(HttpRequest.Builder request) throws IOException, InterruptedException {
    return client.send(request.build(), BodyHandlers.ofString());
  }

  HttpResponse<String> get(String path) throws IOException, InterruptedException {
    return send(request(path));
  }

  HttpResponse<String> post(String path, String body) throws IOException, InterruptedException {
    return send(posting(path, body));
  }

  CompletableFuture<HttpResponse<String>> postLater(String path, String body) {
    return client.sendAsync(posting(path, body).build(), BodyHandlers.ofString());
  }

  private HttpRequest.Builder posting(String path, String body) {
    return request(path)
        .header("Content-Type", "application/json")
        .POST(BodyPublishers.ofString(body.replace('\'', '"')));
  }

  /** The answer to a request that is served. */
  JsonNode json(String path, String body) throws IOException, InterruptedException {
    HttpResponse<String> response = post(path, body);
    if (response.statusCode() != 200) {
      throw new AssertionError(response.statusCode() + ": " + response.body());
    }
    return parse(response);
  }

  static JsonNode parse(HttpResponse<String> response) {
    return JsonMapper.shared().readTree(response.body());
  }

  /** The events of a whole stream. */
  static List<JsonNode> events(HttpResponse<String> response) {
    List<JsonNode> events = new ArrayList<>();
    response
        .body()
        .lines()
        .filter(line -> line.startsWith("data: {"))
        .forEach(line -> events.add(JsonMapper.shared().readTree(line.substring(6))));
    return events;
  }

  /** A connection without a client's manners. */
  RawConnection connect() throws IOException {
    return new RawConnection(new Socket(InetAddress.getLoopbackAddress(), port()));
  }

  /** The value of a metric, such as {@code num_requests_running}, with a label or without. */
  double metric(String name, String label) throws IOException, InterruptedException {
    return get("/metrics")
        .body()
        .lines()
        .filter(line -> line.startsWith("flotilla:" + name + "{") && line.contains(label))
        .mapToDouble(line -> Double.parseDouble(line.substring(line.lastIndexOf(' ') + 1)))
        .findFirst()
        .orElseThrow(() -> new AssertionError("no metric " + name + " " + label));
  }

  /** Waits until something holds. */
  static void await(String what, BooleanSupplier condition) throws InterruptedException {
    long deadline = System.nanoTime() + PATIENCE.toNanos();
    while (!condition.getAsBoolean()) {
      if (System.nanoTime() > deadline) {
        throw new AssertionError("never: " + what);
      }
      Thread.sleep(5);
    }
  }

  @Override
  public void close() {
    client.shutdownNow();
    server.close();
    model.close();
  }
}
