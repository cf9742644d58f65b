package io.flotilla.checkpoint.hub;

import io.flotilla.checkpoint.CheckpointException;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.Objects;
import java.util.concurrent.CancellationException;

/** Requests to the hub. Follows redirects itself: the token must not reach another host. */
final class HubHttp implements AutoCloseable {
  private static final int MAX_REDIRECTS = 10;
  private static final Duration CONNECT = Duration.ofSeconds(10);
  private static final Duration ANSWER = Duration.ofSeconds(60);

  private final HubSettings settings;
  private final HttpClient client =
      HttpClient.newBuilder()
          .followRedirects(HttpClient.Redirect.NEVER)
          .connectTimeout(CONNECT)
          .build();

  HubHttp(HubSettings settings) {
    this.settings = settings;
  }

  /**
   * Asks for the bytes from {@code from} on. The answer's status is 200, 206 or 416.
   *
   * @throws IOException when trying again may help
   * @throws CheckpointException when it will not, saying what will
   * @throws CancellationException when the thread is interrupted
   */
  HttpResponse<InputStream> get(ModelReference reference, URI address, long from)
      throws IOException {
    URI target = address;
    for (int i = 0; i <= MAX_REDIRECTS; i++) {
      HttpResponse<InputStream> response = send(target, from);
      int status = response.statusCode();
      if (status == 200 || status == 206 || status == 416) {
        return response;
      }
      response.body().close();
      if (status < 301 || status > 308 || status == 304) {
        throw refused(reference, target, response);
      }
      target = redirected(target, response);
    }
    throw new CheckpointException(address + " redirects more than " + MAX_REDIRECTS + " times");
  }

  private HttpResponse<InputStream> send(URI target, long from) throws IOException {
    HttpRequest.Builder request =
        HttpRequest.newBuilder(target)
            .timeout(ANSWER)
            .header("User-Agent", "flotilla")
            // A compressed answer would make the range and the size mean something else.
            .header("Accept-Encoding", "identity");
    if (settings.token() != null && sameOrigin(target, settings.endpoint())) {
      request.header("Authorization", "Bearer " + settings.token());
    }
    if (from > 0) {
      request.header("Range", "bytes=" + from + "-");
    }
    try {
      return client.send(request.build(), HttpResponse.BodyHandlers.ofInputStream());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw cancelled(e);
    }
  }

  static CancellationException cancelled(Throwable cause) {
    CancellationException cancelled =
        new CancellationException("the download was cancelled; run it again to continue");
    cancelled.initCause(cause);
    return cancelled;
  }

  private static boolean sameOrigin(URI a, URI b) {
    return Objects.equals(a.getScheme(), b.getScheme())
        && Objects.equals(a.getHost(), b.getHost())
        && a.getPort() == b.getPort();
  }

  private static URI redirected(URI from, HttpResponse<?> response) {
    String location = response.headers().firstValue("Location").orElse("");
    URI target;
    try {
      target = from.resolve(location);
    } catch (IllegalArgumentException e) {
      throw new CheckpointException(from + " redirects to " + location + ", not an address", e);
    }
    boolean secure = "https".equals(target.getScheme());
    if (!secure && (!"http".equals(target.getScheme()) || "https".equals(from.getScheme()))) {
      throw new CheckpointException(from + " redirects to " + target + ", which is not secure");
    }
    return target;
  }

  private CheckpointException refused(
      ModelReference reference, URI target, HttpResponse<?> response) throws IOException {
    int status = response.statusCode();
    String code = response.headers().firstValue("X-Error-Code").orElse("");
    if (status >= 500 || status == 429 || status == 408) {
      throw new IOException(target.getHost() + " answers HTTP status " + status);
    }
    String problem =
        switch (code) {
          case "GatedRepo" -> gated(reference);
          case "RepoNotFound" -> notFound(reference);
          case "RevisionNotFound" ->
              reference.id() + " has no revision " + reference.revision() + "; check its spelling";
          default ->
              switch (status) {
                case 401, 403 -> gated(reference);
                case 404 -> notFound(reference);
                default -> target + " answers HTTP status " + status;
              };
        };
    return new CheckpointException(problem);
  }

  private String gated(ModelReference reference) {
    String page = settings.endpoint() + "/" + reference.id();
    return settings.token() == null
        ? reference.id()
            + " is gated or private: ask for access at "
            + page
            + " and set HF_TOKEN to a token of your account"
        : reference.id()
            + " is gated or private and HF_TOKEN has no access: ask for it at "
            + page
            + ", or set HF_TOKEN to another account's token";
  }

  private String notFound(ModelReference reference) {
    return reference
        + " is not on "
        + settings.endpoint()
        + ": check its spelling"
        + (settings.token() == null ? ", or set HF_TOKEN if it is private" : "");
  }

  @Override
  public void close() {
    client.shutdownNow();
  }
}
