package io.flotilla.checkpoint.hub;

import com.sun.net.httpserver.Headers;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpHandler;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.stream.Collectors;

/**
 * A hub with one repository, {@code org/name}, and a CDN on another port to which it redirects
 * large files.
 */
final class FakeHub implements AutoCloseable {
  static final String COMMIT = "0123456789abcdef0123456789abcdef01234567";

  final Map<String, byte[]> files = new LinkedHashMap<>();
  final List<String> large = new ArrayList<>();

  /** {@code PATH range=RANGE authorization=TOKEN} of each request, by server. */
  final List<String> hubRequests = Collections.synchronizedList(new ArrayList<>());

  final List<String> cdnRequests = Collections.synchronizedList(new ArrayList<>());

  /** Status and error code that the hub answers to everything, when set. */
  volatile int refusal;

  volatile String refusalCode = "";

  /** Bytes after which the CDN cuts its next answers. */
  final List<Integer> cuts = Collections.synchronizedList(new ArrayList<>());

  volatile boolean ignoresRanges;

  private final ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor();
  private final HttpServer hub = start(this::answerAsHub);
  private final HttpServer cdn = start(this::answerAsCdn);

  private HttpServer start(HttpHandler handler) {
    try {
      HttpServer server =
          HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
      server.setExecutor(threads);
      server.createContext("/", handler);
      server.start();
      return server;
    } catch (IOException e) {
      throw new IllegalStateException(e);
    }
  }

  URI endpoint() {
    return address(hub);
  }

  private static URI address(HttpServer server) {
    return URI.create("http://127.0.0.1:" + server.getAddress().getPort());
  }

  void add(String name, String content) {
    files.put(name, content.getBytes(StandardCharsets.UTF_8));
  }

  void addLarge(String name, byte[] content) {
    files.put(name, content);
    large.add(name);
  }

  byte[] content(String name) {
    return files.getOrDefault(name, new byte[0]);
  }

  private void answerAsHub(HttpExchange exchange) throws IOException {
    String path = exchange.getRequestURI().getPath();
    hubRequests.add(described(exchange));
    if (refusal != 0) {
      exchange.getResponseHeaders().set("X-Error-Code", refusalCode);
      send(exchange, refusal, new byte[0], 0);
    } else if (path.equals("/api/models/org/name/revision/main")) {
      send(exchange, 200, description().getBytes(StandardCharsets.UTF_8), 0);
    } else if (path.startsWith("/org/name/resolve/" + COMMIT + "/")) {
      String name = path.substring(path.indexOf(COMMIT) + COMMIT.length() + 1);
      if (large.contains(name)) {
        exchange.getResponseHeaders().set("Location", address(cdn) + "/" + name + "?signed=1");
        send(exchange, 302, new byte[0], 0);
      } else {
        send(exchange, 200, content(name), 0);
      }
    } else {
      exchange.getResponseHeaders().set("X-Error-Code", "RepoNotFound");
      send(exchange, 404, new byte[0], 0);
    }
  }

  private void answerAsCdn(HttpExchange exchange) throws IOException {
    cdnRequests.add(described(exchange));
    byte[] content = content(exchange.getRequestURI().getPath().substring(1));
    String range = exchange.getRequestHeaders().getFirst("Range");
    if (range == null || ignoresRanges) {
      send(exchange, 200, content, 0);
      return;
    }
    int from = Integer.parseInt(range.replaceAll("\\D", ""));
    exchange
        .getResponseHeaders()
        .set("Content-Range", "bytes " + from + "-" + (content.length - 1) + "/" + content.length);
    send(exchange, 206, content, from);
  }

  private void send(HttpExchange exchange, int status, byte[] content, int from)
      throws IOException {
    int length = content.length - from;
    exchange.sendResponseHeaders(status, length == 0 ? -1 : length);
    int sent =
        !cuts.isEmpty() && status / 100 == 2 && isCdn(exchange) ? cuts.removeFirst() : length;
    try (OutputStream body = exchange.getResponseBody()) {
      body.write(content, from, Math.min(sent, length));
      body.flush();
    } finally {
      exchange.close();
    }
  }

  private boolean isCdn(HttpExchange exchange) {
    return exchange.getLocalAddress().getPort() == cdn.getAddress().getPort();
  }

  private static String described(HttpExchange exchange) {
    Headers headers = exchange.getRequestHeaders();
    return "%s range=%s authorization=%s"
        .formatted(
            exchange.getRequestURI(), headers.getFirst("Range"), headers.getFirst("Authorization"));
  }

  private String description() {
    String siblings =
        files.entrySet().stream()
            .map(file -> sibling(file.getKey(), file.getValue()))
            .collect(Collectors.joining(","));
    return "{\"id\":\"org/name\",\"sha\":\"%s\",\"siblings\":[%s]}".formatted(COMMIT, siblings);
  }

  private String sibling(String name, byte[] content) {
    String lfs =
        large.contains(name)
            ? ",\"lfs\":{\"sha256\":\"%s\",\"size\":%d}".formatted(sha256(content), content.length)
            : "";
    return "{\"rfilename\":\"%s\",\"size\":%d,\"blobId\":\"%s\"%s}"
        .formatted(name, content.length, gitHash(content), lfs);
  }

  static String sha256(byte[] content) {
    return hash("SHA-256", content);
  }

  static String gitHash(byte[] content) {
    byte[] header = ("blob " + content.length + "\0").getBytes(StandardCharsets.US_ASCII);
    byte[] blob = Arrays.copyOf(header, header.length + content.length);
    System.arraycopy(content, 0, blob, header.length, content.length);
    return hash("SHA-1", blob);
  }

  private static String hash(String algorithm, byte[] content) {
    try {
      return HexFormat.of().formatHex(MessageDigest.getInstance(algorithm).digest(content));
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException(e);
    }
  }

  @Override
  public void close() {
    hub.stop(0);
    cdn.stop(0);
    threads.shutdownNow();
  }
}
