package io.flotilla.bench.client;

import java.io.IOException;
import java.net.ConnectException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodySubscribers;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/** Speaks to one OpenAI server. Thread-safe; its calls block, and an interrupt cancels them. */
public final class OpenAiClient implements AutoCloseable {
  /**
   * A model that the server offers.
   *
   * @param id the name requests use
   * @param root where the server has it from: a path or a hub id; the id where it does not say
   */
  public record Model(String id, String root) {}

  private final URI baseUrl;
  private final @Nullable String apiKey;
  private final ExecutorService executor = Executors.newVirtualThreadPerTaskExecutor();
  private final HttpClient http;

  /**
   * @param baseUrl scheme, host and port; a path such as {@code /v1} at its end is not expected
   * @param apiKey sent as a bearer token, or null
   */
  public OpenAiClient(URI baseUrl, @Nullable String apiKey) {
    this.baseUrl = baseUrl;
    this.apiKey = apiKey;
    this.http =
        HttpClient.newBuilder()
            .version(HttpClient.Version.HTTP_1_1)
            .connectTimeout(Duration.ofSeconds(10))
            .executor(executor)
            .build();
  }

  /** The first model the server offers. */
  public Model firstModel() throws ServerException, InterruptedException {
    HttpRequest request = request("/v1/models").GET().build();
    HttpResponse<String> response =
        send(request, _ -> BodySubscribers.ofString(StandardCharsets.UTF_8));
    JsonNode first = json(response.body()).path("data").path(0);
    if (response.statusCode() != 200 || !first.path("id").isString()) {
      throw new ServerException(
          baseUrl + "/v1/models names no model (HTTP " + response.statusCode() + "); set --model");
    }
    String id = first.path("id").asString();
    return new Model(id, first.path("root").asString(id));
  }

  /**
   * Posts a streamed completion and returns at its end.
   *
   * @param endpoint such as {@code /v1/chat/completions}
   * @param listener hears every event, on a thread of the client's, one after the other
   * @throws ServerException when the server cannot be reached, refuses, or breaks off
   */
  public void stream(String endpoint, ObjectNode body, Consumer<Chunk> listener)
      throws ServerException, InterruptedException {
    HttpRequest request =
        request(endpoint)
            .header("Content-Type", "application/json")
            .POST(BodyPublishers.ofByteArray(JsonMapper.shared().writeValueAsBytes(body)))
            .build();
    HttpResponse<String> response =
        send(
            request,
            head ->
                head.statusCode() == 200
                    ? new ChunkSubscriber(listener)
                    : BodySubscribers.ofString(StandardCharsets.UTF_8));
    if (response.statusCode() != 200) {
      throw new ServerException(
          "HTTP " + response.statusCode() + ": " + Chunk.errorMessage(json(response.body())));
    }
  }

  private HttpRequest.Builder request(String path) {
    HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(baseUrl + path));
    return apiKey == null ? request : request.header("Authorization", "Bearer " + apiKey);
  }

  private <T> HttpResponse<T> send(HttpRequest request, HttpResponse.BodyHandler<T> handler)
      throws ServerException, InterruptedException {
    try {
      return http.send(request, handler);
    } catch (ConnectException e) {
      throw new ServerException(
          "nothing answers at " + baseUrl + "; start a server with: flotilla serve", e);
    } catch (IOException e) {
      if (e.getCause() instanceof ServerException cause) {
        throw cause;
      }
      throw new ServerException(baseUrl + " broke off: " + e, e);
    }
  }

  private static JsonNode json(String body) {
    try {
      return JsonMapper.shared().readTree(body);
    } catch (JacksonException e) {
      return JsonMapper.shared().createObjectNode().put("error", body.strip());
    }
  }

  @Override
  public void close() {
    http.shutdownNow();
    executor.shutdownNow();
  }
}
