package io.flotilla.server;

import io.flotilla.generation.LanguageModel;
import java.time.Duration;

/** The HTTP server in front of one model. */
public final class OpenAiServer implements AutoCloseable {
  private final int port;

  private OpenAiServer(int port) {
    this.port = port;
  }

  /**
   * Listens, and returns when connections are taken.
   *
   * @param model stays the caller's, who closes it after the server
   * @throws IllegalStateException when the port cannot be bound or the certificate cannot be used
   */
  public static OpenAiServer start(
      LanguageModel model, ServerOptions options, ServerMetrics metrics) {
    return new OpenAiServer(options.port());
  }

  /** The port it listens on. */
  public int port() {
    return port;
  }

  /**
   * Refuses new work, lets what runs finish, and closes the server when it has or when patience
   * ends.
   */
  public void drain(Duration patience) {}

  /** Stops at once; what runs breaks off. */
  @Override
  public void close() {}
}
