package io.flotilla.server;

import io.flotilla.server.openai.ClientGoneException;
import io.flotilla.server.openai.EventStreamWriter;
import io.flotilla.server.openai.Exchange;
import io.flotilla.server.openai.OpenAiError;
import io.flotilla.server.openai.RefusedException;
import io.helidon.common.buffers.DataReader.InsufficientDataAvailableException;
import io.helidon.http.HeaderNames;
import io.helidon.http.HeaderValues;
import io.helidon.webserver.http.ServerRequest;
import io.helidon.webserver.http.ServerResponse;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.concurrent.Future;
import tools.jackson.databind.JsonNode;

/** An exchange over one of Helidon's connections. */
final class HttpExchange implements Exchange {
  /** A refused body is read to its end so far, since clients look at answers only after sending. */
  private static final long MOST_DISCARDED_BYTES = 1L << 30;

  private final long arrival = System.nanoTime();
  private final ServerRequest request;
  private final ServerResponse response;
  private final Connection connection;
  private final BodyDeadline deadline;
  private final int maxBodyBytes;
  private boolean begun;

  HttpExchange(
      ServerRequest request,
      ServerResponse response,
      Connection connection,
      BodyDeadline deadline,
      long maxBodyBytes) {
    this.request = request;
    this.response = response;
    this.connection = connection;
    this.deadline = deadline;
    this.maxBodyBytes = (int) Math.min(maxBodyBytes, Integer.MAX_VALUE - 16);
  }

  @Override
  public long arrivalNanos() {
    return arrival;
  }

  @Override
  public String path() {
    return request.path().path();
  }

  @Override
  public byte[] body() {
    if (!request.content().hasEntity()) {
      return new byte[0];
    }
    Future<?> time = deadline.start(connection);
    try (InputStream stream = request.content().inputStream()) {
      byte[] body = stream.readNBytes(maxBodyBytes + 1);
      if (body.length > maxBodyBytes) {
        discard(stream);
        throw tooLarge();
      }
      return body;
    } catch (IOException | UncheckedIOException | InsufficientDataAvailableException e) {
      throw gone(e);
    } catch (IllegalArgumentException e) {
      response.header(HeaderValues.CONNECTION_CLOSE);
      throw new RefusedException(
          OpenAiError.invalid(null, "the body's chunks cannot be read: " + e.getMessage()));
    } finally {
      time.cancel(false);
    }
  }

  private void discard(InputStream stream) throws IOException {
    response.header(HeaderValues.CONNECTION_CLOSE);
    long left = MOST_DISCARDED_BYTES;
    byte[] waste = new byte[64 << 10];
    for (int read = 0; read >= 0 && left > 0; left -= read) {
      read = stream.read(waste);
    }
  }

  private RefusedException tooLarge() {
    return new RefusedException(
        OpenAiError.refused(
            413,
            "the body has more than "
                + maxBodyBytes
                + " bytes; send less, or raise --max-body-bytes of the server",
            "body_too_large"));
  }

  /** Whether the answer can no longer be another one. */
  boolean hasBegun() {
    return begun;
  }

  @Override
  public void answer(JsonNode body) {
    begun = true;
    Replies.json(response, 200, body);
  }

  @Override
  public EventStreamWriter events() {
    begun = true;
    response.header(HeaderNames.CONTENT_TYPE, "text/event-stream; charset=utf-8");
    response.header(HeaderNames.CACHE_CONTROL, "no-cache");
    // Proxies such as nginx would hold events back.
    response.header("X-Accel-Buffering", "no");
    return new EventStreamWriter(response.outputStream());
  }

  @Override
  public boolean isClientGone() {
    return connection.isGone();
  }

  private static ClientGoneException gone(Exception cause) {
    ClientGoneException gone = new ClientGoneException();
    gone.addSuppressed(cause);
    return gone;
  }
}
