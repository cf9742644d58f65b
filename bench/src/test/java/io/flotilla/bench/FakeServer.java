package io.flotilla.bench;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;

/** An OpenAI server that says "x" a given number of times, at a given pace. */
final class FakeServer implements AutoCloseable {
  private final HttpServer server;
  private final ExecutorService executor = Executors.newVirtualThreadPerTaskExecutor();
  private final long firstDelayMillis;
  private final long delayMillis;
  private final int tokens;
  private final AtomicInteger running = new AtomicInteger();
  private final AtomicInteger peak = new AtomicInteger();
  private final List<String> bodies = new CopyOnWriteArrayList<>();

  FakeServer(long firstDelayMillis, long delayMillis, int tokens) throws IOException {
    this.firstDelayMillis = firstDelayMillis;
    this.delayMillis = delayMillis;
    this.tokens = tokens;
    server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    server.setExecutor(executor);
    server.createContext("/v1/models", exchange -> answer(exchange, 200, MODELS));
    server.createContext("/v1/completions", this::stream);
    server.createContext(
        "/v1/refusing", exchange -> answer(exchange, 400, "{\"error\":{\"message\":\"no\"}}"));
    server.createContext("/v1/babbling", exchange -> answer(exchange, 200, "data: {not json\n\n"));
    server.start();
  }

  private static final String MODELS =
      """
      {"object":"list","data":[{"id":"fake","object":"model","root":"/models/fake"}]}""";

  URI address() {
    return URI.create("http://127.0.0.1:" + server.getAddress().getPort());
  }

  /** Requests that ran at once, at most. */
  int peakConcurrency() {
    return peak.get();
  }

  List<String> bodies() {
    return bodies;
  }

  private static void answer(HttpExchange exchange, int status, String body) throws IOException {
    byte[] bytes = body.getBytes(StandardCharsets.UTF_8);
    exchange.sendResponseHeaders(status, bytes.length);
    try (OutputStream out = exchange.getResponseBody()) {
      out.write(bytes);
    }
  }

  private void stream(HttpExchange exchange) throws IOException {
    bodies.add(new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8));
    peak.accumulateAndGet(running.incrementAndGet(), Math::max);
    exchange.sendResponseHeaders(200, 0);
    try (OutputStream out = exchange.getResponseBody()) {
      for (int i = 0; i < tokens; i++) {
        Thread.sleep(i == 0 ? firstDelayMillis : delayMillis);
        send(out, "{\"choices\":[{\"index\":0,\"text\":\"x\"}]}");
      }
      send(
          out,
          "{\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":" + tokens + "}}");
      running.decrementAndGet();
      send(out, "[DONE]");
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private static void send(OutputStream out, String data) throws IOException {
    out.write(("data: " + data + "\n\n").getBytes(StandardCharsets.UTF_8));
    out.flush();
  }

  @Override
  public void close() {
    server.stop(0);
    executor.shutdownNow();
  }
}
