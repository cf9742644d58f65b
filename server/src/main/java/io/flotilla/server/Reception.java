package io.flotilla.server;

import io.flotilla.server.openai.ClientGoneException;
import io.flotilla.server.openai.Endpoint;
import io.flotilla.server.openai.OpenAiError;
import io.flotilla.server.openai.RefusedException;
import io.helidon.http.HeaderNames;
import io.helidon.http.HeaderValues;
import io.helidon.http.Method;
import io.helidon.webserver.CloseConnectionException;
import io.helidon.webserver.http.FilterChain;
import io.helidon.webserver.http.Handler;
import io.helidon.webserver.http.HttpRouting;
import io.helidon.webserver.http.RoutingRequest;
import io.helidon.webserver.http.RoutingResponse;
import io.helidon.webserver.http.ServerRequest;
import io.helidon.webserver.http.ServerResponse;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What every request passes on its way to an endpoint: the origin, the key, and the doors that
 * close when the server drains. What endpoints throw becomes an answer here.
 */
final class Reception {
  private static final Logger LOG = LoggerFactory.getLogger(Reception.class);

  /** A connection between requests is closed after this. */
  static final Duration IDLE_CONNECTION = Duration.ofMinutes(5);

  private static final String BEARER = "Bearer ";

  private final ServerOptions options;
  private final Connections connections;
  private final BodyDeadline deadline;
  private final List<byte[]> keys;

  /** Methods by path, for requests that have the path right and the method wrong. */
  private final Map<String, String> methods = new HashMap<>();

  private final ReentrantLock lock = new ReentrantLock();
  private final Condition idle = lock.newCondition();
  private int inside;
  private boolean draining;

  Reception(ServerOptions options, Connections connections, BodyDeadline deadline) {
    this.options = options;
    this.connections = connections;
    this.deadline = deadline;
    this.keys =
        options.apiKeys().stream().map(key -> key.getBytes(StandardCharsets.UTF_8)).toList();
  }

  /** Lets browsers and keys be looked at before anything else. */
  void install(HttpRouting.Builder routing) {
    routing.addFilter(this::admit);
  }

  void post(HttpRouting.Builder routing, String path, Endpoint endpoint) {
    methods.put(path, "POST");
    routing.post(path, receive(endpoint));
  }

  void get(HttpRouting.Builder routing, String path, Endpoint endpoint) {
    get(routing, path, receive(endpoint));
  }

  /** What is answered while the server drains, too. */
  void get(HttpRouting.Builder routing, String path, Handler handler) {
    methods.put(path, "GET");
    routing.get(path, handler);
  }

  private void admit(FilterChain chain, RoutingRequest request, RoutingResponse response) {
    boolean preflight = allowOrigin(request, response);
    if (preflight) {
      response.status(204).send();
    } else if (request.path().path().startsWith("/v1/") && !hasKey(request)) {
      response.header(HeaderNames.WWW_AUTHENTICATE, "Bearer");
      Replies.error(
          response,
          OpenAiError.refused(
              401,
              "the API key is missing or wrong; send it as 'Authorization: Bearer KEY'",
              "invalid_api_key"));
    } else {
      proceed(chain);
    }
    // Helidon says that it closes the connection, but waits for another request.
    if (request.headers().containsToken(HeaderValues.CONNECTION_CLOSE)
        || response.headers().containsToken(HeaderValues.CONNECTION_CLOSE)) {
      throw new CloseConnectionException("the answer was the connection's last");
    }
    connections.ofThisThread().awaitNext(IDLE_CONNECTION);
  }

  /** An answer's last bytes leave after its endpoint has returned, but within this. */
  private void proceed(FilterChain chain) {
    enter();
    try {
      chain.proceed();
    } finally {
      leave();
    }
  }

  /** Tells a browser that it may read the answer; true when it asked for nothing else. */
  private boolean allowOrigin(ServerRequest request, ServerResponse response) {
    String origin = request.headers().first(HeaderNames.ORIGIN).orElse("");
    boolean any = options.allowedOrigins().contains("*");
    if (origin.isEmpty() || !(any || options.allowedOrigins().contains(origin))) {
      return false;
    }
    response.header(HeaderNames.ACCESS_CONTROL_ALLOW_ORIGIN, any ? "*" : origin);
    response.header(HeaderNames.VARY, "Origin");
    boolean preflight =
        request.prologue().method().equals(Method.OPTIONS)
            && request.headers().contains(HeaderNames.ACCESS_CONTROL_REQUEST_METHOD);
    if (preflight) {
      response.header(HeaderNames.ACCESS_CONTROL_ALLOW_METHODS, "GET, POST");
      response.header(HeaderNames.ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type");
      response.header(HeaderNames.ACCESS_CONTROL_MAX_AGE, "3600");
    }
    return preflight;
  }

  private boolean hasKey(ServerRequest request) {
    if (keys.isEmpty()) {
      return true;
    }
    String header = request.headers().first(HeaderNames.AUTHORIZATION).orElse("");
    if (!header.startsWith(BEARER)) {
      return false;
    }
    byte[] given = header.substring(BEARER.length()).strip().getBytes(StandardCharsets.UTF_8);
    boolean known = false;
    for (byte[] key : keys) {
      // Takes as long for a wrong key as for a right one.
      known |= MessageDigest.isEqual(key, given);
    }
    return known;
  }

  /** What runs an endpoint. */
  private Handler receive(Endpoint endpoint) {
    return (request, response) -> {
      if (isDraining()) {
        Replies.error(response, OpenAiError.draining());
      } else {
        run(endpoint, request, response);
      }
    };
  }

  private void run(Endpoint endpoint, ServerRequest request, ServerResponse response) {
    Connection connection = connections.ofThisThread();
    HttpExchange exchange =
        new HttpExchange(request, response, connection, deadline, options.maxBodyBytes());
    try {
      endpoint.handle(exchange);
    } catch (RefusedException e) {
      Replies.error(response, e.error());
    } catch (ClientGoneException | UncheckedIOException | CloseConnectionException e) {
      LOG.debug("A client left {}", request.path().path(), e);
      throw connection.hangUp();
    } catch (InterruptedException e) {
      LOG.debug("{} breaks off: the server is closed", request.path().path(), e);
      throw connection.hangUp();
    } catch (RuntimeException e) {
      LOG.error("Internal error in {}", request.path().path(), e);
      if (exchange.hasBegun()) {
        throw connection.hangUp();
      }
      Replies.error(response, OpenAiError.internal());
    }
  }

  /** Answers what no endpoint is for. */
  void refuseTheRest(HttpRouting.Builder routing) {
    routing.any(
        (request, response) -> {
          String path = request.path().path();
          String method = request.prologue().method().text();
          String right = methods.get(path);
          if (right == null) {
            Replies.error(
                response,
                OpenAiError.refused(
                    404, "there is no " + path + " here; the API is under /v1", "not_found"));
          } else {
            response.header(HeaderNames.ALLOW, right);
            Replies.error(
                response,
                OpenAiError.refused(
                    405, path + " takes " + right + ", not " + method, "method_not_allowed"));
          }
        });
  }

  private void enter() {
    lock.lock();
    try {
      inside++;
    } finally {
      lock.unlock();
    }
  }

  private void leave() {
    lock.lock();
    try {
      inside--;
      idle.signalAll();
    } finally {
      lock.unlock();
    }
  }

  /** Endpoints get no more requests from now on. */
  void drain() {
    lock.lock();
    try {
      draining = true;
    } finally {
      lock.unlock();
    }
  }

  boolean isDraining() {
    lock.lock();
    try {
      return draining;
    } finally {
      lock.unlock();
    }
  }

  /** Waits until nobody is inside, or until patience ends. */
  void awaitIdle(Duration patience) throws InterruptedException {
    long left = patience.toNanos();
    lock.lockInterruptibly();
    try {
      while (inside > 0 && left > 0) {
        left = idle.awaitNanos(left);
      }
    } finally {
      lock.unlock();
    }
  }
}
