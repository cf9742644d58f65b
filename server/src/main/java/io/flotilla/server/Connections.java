package io.flotilla.server;

import io.helidon.common.buffers.BufferData;
import io.helidon.http.HttpPrologue;
import io.helidon.webserver.ConnectionContext;
import io.helidon.webserver.http1.Http1ConnectionListener;

/**
 * Knows the connection that the current thread serves; every connection has a thread of its own.
 */
final class Connections implements Http1ConnectionListener {
  // No leak: a connection's thread ends with the connection.
  @SuppressWarnings("ThreadLocalUsage")
  private final ThreadLocal<Connection> current = new ThreadLocal<>();

  @Override
  public void prologue(ConnectionContext connection, HttpPrologue prologue) {
    current.set(new Connection(connection));
  }

  @Override
  public void data(ConnectionContext connection, BufferData data) {}

  @Override
  public void data(ConnectionContext connection, byte[] data, int position, int length) {}

  /** The connection of the request that this thread serves. */
  Connection ofThisThread() {
    return current.get();
  }
}
