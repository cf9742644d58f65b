package io.flotilla.server;

import io.helidon.common.buffers.DataReader;
import io.helidon.common.socket.HelidonSocket;
import io.helidon.webserver.CloseConnectionException;
import io.helidon.webserver.ConnectionContext;
import java.time.Duration;
import org.jspecify.annotations.Nullable;

/**
 * A client's connection while one of its requests is served. A client that goes away is noticed by
 * waiting for what it sends next, on a thread of its own: either that comes, and stays in the
 * connection's reader, or the end does. Nobody else may read meanwhile.
 */
final class Connection {
  private final HelidonSocket socket;
  private final DataReader reader;
  private volatile boolean gone;
  private @Nullable Thread watcher;

  Connection(ConnectionContext context) {
    socket = context.serverSocket();
    reader = context.dataReader();
  }

  /** Whether the client has gone. To be asked once the request's body was read. */
  boolean isGone() {
    if (watcher == null) {
      watcher = Thread.ofVirtual().name("client-watcher").start(this::watch);
    }
    return gone;
  }

  private void watch() {
    try {
      reader.ensureAvailable();
    } catch (RuntimeException e) {
      // The end of what the client sends, or an error of its connection.
      gone = true;
    }
  }

  /**
   * Waits until the connection may be read again, which is when the client sends something.
   *
   * @throws CloseConnectionException when it has gone or is silent for too long
   */
  void awaitNext(Duration patience) {
    Thread watching = watcher;
    if (watching == null) {
      return;
    }
    try {
      if (!watching.join(patience) || gone) {
        throw hangUp();
      }
    } catch (InterruptedException e) {
      throw hangUp();
    }
  }

  /** Closes the connection, by which a client knows that an answer has no end. */
  CloseConnectionException hangUp() {
    socket.close();
    return new CloseConnectionException("there is nobody to answer, or no answer");
  }

  /** Closes the connection from another thread than the one that serves it. */
  void close() {
    socket.close();
  }
}
