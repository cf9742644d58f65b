package io.flotilla.fleet.remote;

import java.io.BufferedReader;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.SecureRandom;
import java.util.HexFormat;

/**
 * How a replica's process finds the one that started it, and proves to be its child: it reads port
 * and token from standard input, where no other user can see them, connects, and sends
 *
 * <pre>
 * offset  bytes  big-endian
 * 0       8      "FLOTILLA"
 * 8       32     token
 * 40      4      version of the protocol
 * </pre>
 *
 * It is answered with the other side's version, or not at all.
 *
 * @param port of the loopback address
 */
record Handshake(int port, byte[] token) {
  /** To be raised with every change of a frame. */
  static final int VERSION = 1;

  private static final byte[] MAGIC = "FLOTILLA".getBytes(StandardCharsets.US_ASCII);
  private static final int TOKEN_BYTES = 32;
  private static final int ANSWER_PATIENCE_MILLIS = 10_000;

  /** One that nobody can guess. */
  static Handshake withNewToken(int port) {
    byte[] token = new byte[TOKEN_BYTES];
    new SecureRandom().nextBytes(token);
    return new Handshake(port, token);
  }

  /** Gives it to a child by its standard input. */
  void writeTo(OutputStream stdin) throws IOException {
    String line = port + " " + HexFormat.of().formatHex(token) + "\n";
    stdin.write(line.getBytes(StandardCharsets.US_ASCII));
    stdin.flush();
  }

  /**
   * Reads what {@link #writeTo} wrote.
   *
   * @throws ProtocolException when it is something else
   */
  static Handshake readFrom(InputStream stdin) throws IOException {
    String line =
        new BufferedReader(new InputStreamReader(stdin, StandardCharsets.US_ASCII)).readLine();
    if (line == null || !line.matches("\\d{1,5} [0-9a-f]{" + 2 * TOKEN_BYTES + "}")) {
      throw new ProtocolException(
          "standard input does not say where to connect: a replica is started by flotilla serve");
    }
    String[] parts = line.split(" ", 2);
    return new Handshake(Integer.parseInt(parts[0]), HexFormat.of().parseHex(parts[1]));
  }

  /** The child's side. */
  Socket connect() throws IOException {
    Socket socket = new Socket(InetAddress.getLoopbackAddress(), port);
    boolean known = false;
    try {
      socket.setTcpNoDelay(true);
      socket.setSoTimeout(ANSWER_PATIENCE_MILLIS);
      DataOutputStream out = new DataOutputStream(socket.getOutputStream());
      byte[] greeting = new byte[MAGIC.length + TOKEN_BYTES];
      System.arraycopy(MAGIC, 0, greeting, 0, MAGIC.length);
      System.arraycopy(token, 0, greeting, MAGIC.length, TOKEN_BYTES);
      out.write(greeting);
      out.writeInt(VERSION);
      requireVersion(new DataInputStream(socket.getInputStream()).readInt());
      socket.setSoTimeout(0);
      known = true;
      return socket;
    } finally {
      if (!known) {
        socket.close();
      }
    }
  }

  /**
   * The parent's side.
   *
   * @return whether it is the child
   * @throws ProtocolException when it is the child, but of another version
   */
  boolean admit(Socket socket) throws IOException {
    socket.setTcpNoDelay(true);
    socket.setSoTimeout(ANSWER_PATIENCE_MILLIS);
    DataInputStream in = new DataInputStream(socket.getInputStream());
    byte[] magic = new byte[MAGIC.length];
    byte[] shown = new byte[TOKEN_BYTES];
    in.readFully(magic);
    in.readFully(shown);
    int version = in.readInt();
    if (!MessageDigest.isEqual(magic, MAGIC) || !MessageDigest.isEqual(shown, token)) {
      return false;
    }
    new DataOutputStream(socket.getOutputStream()).writeInt(VERSION);
    requireVersion(version);
    socket.setSoTimeout(0);
    return true;
  }

  private static void requireVersion(int theirs) throws ProtocolException {
    if (theirs != VERSION) {
      throw new ProtocolException(
          "server and replica speak versions %d and %d: the installation has changed, start the server again"
              .formatted(VERSION, theirs));
    }
  }
}
