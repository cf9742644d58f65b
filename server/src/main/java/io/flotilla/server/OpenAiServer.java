package io.flotilla.server;

import io.flotilla.generation.LanguageModel;
import io.flotilla.server.openai.Endpoint;
import io.flotilla.server.openai.GenerationEndpoint;
import io.flotilla.server.openai.Models;
import io.flotilla.server.openai.RequestListener;
import io.flotilla.server.openai.ServedModel;
import io.flotilla.server.openai.Tokenization;
import io.helidon.common.socket.SocketOptions;
import io.helidon.webserver.WebServer;
import io.helidon.webserver.http.Handler;
import io.helidon.webserver.http.HttpRouting;
import io.helidon.webserver.http1.Http1Config;
import java.time.Duration;
import java.util.List;

/**
 * The HTTP server in front of one model. Each connection has a virtual thread; requests and their
 * answers are read and written by blocking calls on it.
 */
public final class OpenAiServer implements AutoCloseable {
  private static final int MAX_HEADERS_BYTES = 64 << 10;

  private final WebServer server;
  private final LanguageModel model;
  private final Reception reception;
  private final BodyDeadline deadline;

  private OpenAiServer(
      WebServer server, LanguageModel model, Reception reception, BodyDeadline deadline) {
    this.server = server;
    this.model = model;
    this.reception = reception;
    this.deadline = deadline;
  }

  /**
   * Listens, and returns when connections are taken.
   *
   * @param model stays the caller's, who closes it after the server
   * @throws IllegalArgumentException when the certificate cannot be used
   * @throws IllegalStateException when the port cannot be bound
   */
  public static OpenAiServer start(
      LanguageModel model, ServerOptions options, ServerMetrics metrics) {
    metrics.watch(model::statuses);
    List<String> names =
        options.servedModelNames().isEmpty() ? List.of(model.name()) : options.servedModelNames();
    ServedModel served = new ServedModel(model, names, System.currentTimeMillis() / 1000);
    Connections connections = new Connections();
    BodyDeadline deadline = new BodyDeadline();
    Reception reception = new Reception(options, connections, deadline);
    HttpRouting.Builder routing = HttpRouting.builder();
    route(routing, reception, served, metrics);
    WebServer server =
        WebServer.builder()
            .host(options.host())
            .port(options.port())
            .routing(routing)
            .maxPayloadSize(-1)
            .idleConnectionTimeout(Reception.IDLE_CONNECTION)
            .connectionOptions(SocketOptions.builder().tcpNoDelay(true).build())
            .protocolsDiscoverServices(false)
            .addProtocol(
                Http1Config.builder()
                    .maxHeadersSize(MAX_HEADERS_BYTES)
                    .addReceiveListener(connections)
                    .build())
            .directHandlers(TransportErrors.handlers())
            .featuresDiscoverServices(false)
            .shutdownHook(false)
            .shutdownGracePeriod(Duration.ZERO)
            .update(builder -> Certificates.configure(builder, options))
            .build();
    server.start();
    // A server that cannot listen logs why, and throws nothing.
    if (!server.isRunning()) {
      deadline.close();
      throw new IllegalStateException(
          "cannot listen on "
              + options.host()
              + " port "
              + options.port()
              + "; is the port taken, or the address another machine's? Choose others with --host"
              + " and --port");
    }
    return new OpenAiServer(server, model, reception, deadline);
  }

  private static void route(
      HttpRouting.Builder routing, Reception reception, ServedModel served, ServerMetrics metrics) {
    RequestListener requests = metrics.requests();
    Endpoint models = new Models(served, "/v1/models");
    Health health = new Health(served.model(), reception);
    reception.install(routing);
    reception.post(routing, "/v1/chat/completions", GenerationEndpoint.chat(served, requests));
    reception.post(routing, "/v1/completions", GenerationEndpoint.completions(served, requests));
    reception.get(routing, "/v1/models", models);
    reception.get(routing, "/v1/models/{+name}", models);
    reception.post(routing, "/tokenize", Tokenization.tokenize(served));
    reception.post(routing, "/detokenize", Tokenization.detokenize(served));
    Handler scrape = (_, response) -> Replies.text(response, metrics.scrape());
    reception.get(routing, "/health", health::answer);
    reception.get(routing, "/version", health::version);
    reception.get(routing, "/metrics", scrape);
    reception.refuseTheRest(routing);
  }

  /** The port it listens on. */
  public int port() {
    return server.port();
  }

  /**
   * Refuses new work, lets what runs finish, and closes the server when it has or when patience
   * ends.
   */
  public void drain(Duration patience) throws InterruptedException {
    reception.drain();
    model.drain();
    reception.awaitIdle(patience);
    close();
  }

  /** Stops at once; what runs breaks off. */
  @Override
  public void close() {
    server.stop();
    deadline.close();
  }
}
