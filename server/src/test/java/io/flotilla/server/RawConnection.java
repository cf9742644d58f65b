package io.flotilla.server;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.Socket;
import java.net.SocketException;
import java.net.SocketTimeoutException;
import java.nio.charset.StandardCharsets;

/** A client that writes what it wants. */
final class RawConnection implements AutoCloseable {
  private final Socket socket;

  RawConnection(Socket socket) throws IOException {
    this.socket = socket;
    socket.setSoTimeout(30_000);
  }

  RawConnection send(String text) throws IOException {
    return send(text.getBytes(StandardCharsets.UTF_8));
  }

  RawConnection send(byte[] bytes) throws IOException {
    socket.getOutputStream().write(bytes);
    socket.getOutputStream().flush();
    return this;
  }

  /** Posts a body, written with {@code '} for quotes. */
  RawConnection post(String path, String body) throws IOException {
    byte[] bytes = body.replace('\'', '"').getBytes(StandardCharsets.UTF_8);
    return send("POST "
            + path
            + " HTTP/1.1\r\nHost: h\r\nContent-Length: "
            + bytes.length
            + "\r\n\r\n")
        .send(bytes);
  }

  /** Reads to the given text or to the end, whichever comes first. */
  String readTo(String end) throws IOException {
    ByteArrayOutputStream read = new ByteArrayOutputStream();
    InputStream input = socket.getInputStream();
    int next = 0;
    try {
      while (!read.toString(StandardCharsets.UTF_8).endsWith(end) && (next = read(input)) >= 0) {
        read.write(next);
      }
    } catch (SocketTimeoutException e) {
      throw new AssertionError("nothing comes after: " + read.toString(StandardCharsets.UTF_8), e);
    }
    return read.toString(StandardCharsets.UTF_8);
  }

  /** A connection that was reset has ended, too. */
  private static int read(InputStream input) throws IOException {
    try {
      return input.read();
    } catch (SocketException e) {
      return -1;
    }
  }

  /** Reads until the server closes the connection. */
  String readAll() throws IOException {
    return readTo("\0");
  }

  Socket socket() {
    return socket;
  }

  @Override
  public void close() throws IOException {
    socket.close();
  }
}
