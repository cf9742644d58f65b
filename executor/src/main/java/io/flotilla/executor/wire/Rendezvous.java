package io.flotilla.executor.wire;

import java.io.BufferedOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.SocketTimeoutException;
import java.net.StandardSocketOptions;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Consumer;

/**
 * How the nodes of a replica find each other: node 0 listens, the others connect, and each two make
 * sure that they belong together before anything is loaded.
 */
public final class Rendezvous {
  /** How long nodes wait for each other. */
  public static final Duration PATIENCE = Duration.ofMinutes(5);

  private static final Duration HELLO_PATIENCE = Duration.ofSeconds(10);
  private static final Duration NOTICE_PERIOD = Duration.ofSeconds(10);
  private static final Duration CONNECT_PATIENCE = Duration.ofSeconds(2);
  private static final Duration RETRY_PERIOD = Duration.ofMillis(250);

  private final NodePlace place;
  private final Hello hello;
  private final Duration patience;
  private final Consumer<String> notices;
  private final FramePool pool = new FramePool();
  private final long started = System.nanoTime();
  private Duration nextNotice = Duration.ZERO;

  private Rendezvous(NodePlace place, Hello hello, Duration patience, Consumer<String> notices) {
    this.place = place;
    this.hello = hello;
    this.patience = patience;
    this.notices = notices;
  }

  /**
   * Waits for all nodes of a replica.
   *
   * @param place among several nodes
   * @param hello what must be the same on all
   * @param notices is told what is waited for
   * @throws NodeException when they do not come, or do not belong together
   */
  public static NodeLinks meet(
      NodePlace place, Hello hello, Duration patience, Consumer<String> notices) {
    Rendezvous rendezvous = new Rendezvous(place, hello, patience, notices);
    return place.isMaster() ? rendezvous.gather() : rendezvous.join();
  }

  private NodeLinks gather() {
    Map<Integer, NodeConnection> joined = new TreeMap<>();
    try (ServerSocketChannel server = listen()) {
      while (joined.size() < place.nodes() - 1) {
        requireTime("node %s of %d has not joined".formatted(missing(joined), place.nodes()));
        notice("Waiting at %s for node %s".formatted(place.master(), missing(joined)));
        welcome(server, joined);
      }
      joined.values().forEach(other -> other.sendNow(pool.begin(FrameKind.WELCOME)));
      return links(joined);
    } catch (IOException e) {
      throw fail(joined, new NodeException("cannot wait at " + place.master() + ": " + e, e));
    } catch (NodeException e) {
      throw fail(joined, e);
    }
  }

  private NodeLinks links(Map<Integer, NodeConnection> joined) {
    return new NodeLinks(place, List.copyOf(joined.values()), pool);
  }

  private NodeException fail(Map<Integer, NodeConnection> joined, NodeException cause) {
    try (NodeLinks links = links(joined)) {
      links.fail(cause);
    }
    return cause;
  }

  private String missing(Map<Integer, NodeConnection> joined) {
    StringBuilder missing = new StringBuilder();
    for (int node = 1; node < place.nodes(); node++) {
      if (!joined.containsKey(node)) {
        missing.append(missing.isEmpty() ? "" : ", ").append(node);
      }
    }
    return missing.toString();
  }

  private ServerSocketChannel listen() throws IOException {
    ServerSocketChannel server = ServerSocketChannel.open();
    boolean bound = false;
    try {
      server.setOption(StandardSocketOptions.SO_REUSEADDR, true);
      server.bind(address());
      bound = true;
      return server;
    } catch (IOException e) {
      throw new NodeException(
          "node 0 cannot listen at %s: %s; --master-addr must be an address of this host, and --master-port one where nothing listens"
              .formatted(place.master(), e.getMessage()),
          e);
    } finally {
      if (!bound) {
        server.close();
      }
    }
  }

  private InetSocketAddress address() throws IOException {
    InetSocketAddress address = new InetSocketAddress(place.masterAddress(), place.masterPort());
    if (address.isUnresolved()) {
      throw new IOException("no host has that name");
    }
    return address;
  }

  /** Takes in the next that connects, if it is a node of this replica. */
  private void welcome(ServerSocketChannel server, Map<Integer, NodeConnection> joined)
      throws IOException {
    server.socket().setSoTimeout(Math.toIntExact(waitingTime().toMillis()));
    Socket socket;
    try {
      socket = server.socket().accept();
    } catch (SocketTimeoutException _) {
      return;
    }
    SocketChannel channel = socket.getChannel();
    Hello other;
    try {
      other = exchange(channel, false);
    } catch (IOException e) {
      notices.accept("Ignored %s: %s".formatted(socket.getRemoteSocketAddress(), e.getMessage()));
      channel.close();
      return;
    }
    NodeConnection connection = new NodeConnection(channel, other.node(), pool);
    try {
      requireAlike(connection.peer(), other);
    } catch (NodeException e) {
      connection.close();
      throw e;
    }
    if (joined.containsKey(other.node()) || other.node() < 1 || other.node() >= place.nodes()) {
      String reason = "--node-rank %d has joined already".formatted(other.node());
      notices.accept("Refused %s: %s".formatted(connection.peer(), reason));
      connection.finish(FailureCodec.write(pool, new NodeException(reason)));
      connection.close();
      return;
    }
    joined.put(other.node(), connection);
  }

  private NodeLinks join() {
    SocketChannel channel = connect();
    NodeConnection master = null;
    boolean complete = false;
    try {
      Hello other = exchange(channel, true);
      master = new NodeConnection(channel, 0, pool);
      requireAlike(master.peer(), other);
      master.receive(FrameKind.WELCOME, patience).release();
      complete = true;
      return new NodeLinks(place, List.of(master), pool);
    } catch (IOException e) {
      throw new NodeException(
          "what listens at %s is no node 0 of Flotilla: %s"
              .formatted(place.master(), e.getMessage()),
          e);
    } finally {
      if (!complete) {
        NodeConnection.close(channel);
      }
    }
  }

  private SocketChannel connect() {
    String obstacle = "";
    while (true) {
      requireTime("node 0 does not listen at %s (%s)".formatted(place.master(), obstacle));
      try {
        return tryConnecting();
      } catch (IOException e) {
        obstacle = e.getMessage();
        notice("Waiting for node 0 at %s".formatted(place.master()));
      }
      try {
        Thread.sleep(RETRY_PERIOD);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new NodeException("interrupted while waiting for node 0", e);
      }
    }
  }

  private SocketChannel tryConnecting() throws IOException {
    SocketChannel channel = SocketChannel.open();
    boolean connected = false;
    try {
      channel.socket().connect(address(), Math.toIntExact(CONNECT_PATIENCE.toMillis()));
      connected = true;
      return channel;
    } finally {
      if (!connected) {
        channel.close();
      }
    }
  }

  /** Both say hello; who connects says it first. */
  private Hello exchange(SocketChannel channel, boolean first) throws IOException {
    Socket socket = channel.socket();
    socket.setSoTimeout(Math.toIntExact(HELLO_PATIENCE.toMillis()));
    DataOutputStream out = new DataOutputStream(new BufferedOutputStream(socket.getOutputStream()));
    DataInputStream in = new DataInputStream(socket.getInputStream());
    if (first) {
      hello.write(out);
    }
    Hello other = Hello.read(in);
    if (!first) {
      hello.write(out);
    }
    socket.setSoTimeout(0);
    return other;
  }

  private void requireAlike(String peer, Hello other) {
    List<String> differences = hello.differences(other);
    if (!differences.isEmpty()) {
      throw new NodeException(
          "%s does not fit to this one: %s; start all nodes with the same model and options"
              .formatted(peer, String.join("; ", differences)));
    }
  }

  private Duration waited() {
    return Duration.ofNanos(System.nanoTime() - started);
  }

  private void requireTime(String obstacle) {
    if (waited().compareTo(patience) >= 0) {
      throw new NodeException("%s after %d s".formatted(obstacle, patience.toSeconds()));
    }
  }

  private Duration waitingTime() {
    Duration left = patience.minus(waited());
    Duration time = left.compareTo(NOTICE_PERIOD) < 0 ? left : NOTICE_PERIOD;
    return time.compareTo(RETRY_PERIOD) < 0 ? RETRY_PERIOD : time;
  }

  private void notice(String text) {
    Duration waited = waited();
    if (waited.compareTo(nextNotice) >= 0) {
      notices.accept("%s, for %d s more".formatted(text, patience.minus(waited).toSeconds()));
      nextNotice = waited.plus(NOTICE_PERIOD);
    }
  }
}
