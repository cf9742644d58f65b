package io.flotilla.fleet.remote;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The process of a replica: its start, its log, its connection and its end. */
final class ReplicaProcess implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(ReplicaProcess.class);
  private static final String LOG_PREFIX = "replica | ";
  private static final Duration CONNECT_PATIENCE = Duration.ofMinutes(2);
  private static final Duration END_PATIENCE = Duration.ofSeconds(10);
  private static final Duration SIGNAL_PATIENCE = Duration.ofSeconds(5);
  private static final Map<Integer, String> SIGNALS =
      Map.of(6, "SIGABRT", 7, "SIGBUS", 9, "SIGKILL", 11, "SIGSEGV", 15, "SIGTERM");

  private final Process process;
  private final ServerSocket listener;
  private final Handshake handshake;
  private final CompletableFuture<Socket> connected = new CompletableFuture<>();

  private ReplicaProcess(Process process, ServerSocket listener, Handshake handshake) {
    this.process = process;
    this.listener = listener;
    this.handshake = handshake;
  }

  /**
   * Starts a process, whose lines go to standard error from now on, each with a prefix.
   *
   * @param command its command line, which ends up in {@link ReplicaHost}
   */
  static ReplicaProcess start(List<String> command) throws IOException {
    ServerSocket listener = new ServerSocket(0, 16, InetAddress.getLoopbackAddress());
    Process process;
    try {
      process = new ProcessBuilder(command).redirectErrorStream(true).start();
    } catch (IOException e) {
      listener.close();
      throw e;
    }
    Handshake handshake = Handshake.withNewToken(listener.getLocalPort());
    ReplicaProcess replica = new ReplicaProcess(process, listener, handshake);
    Thread.ofVirtual().name("replica-log").start(replica::forward);
    Thread.ofVirtual().name("replica-door").start(replica::listen);
    var _ = process.onExit().thenRun(() -> Sockets.close(listener));
    try (var stdin = process.getOutputStream()) {
      handshake.writeTo(stdin);
    } catch (IOException e) {
      LOG.debug("The replica reads no standard input", e); // Its end is seen, with the status.
    }
    return replica;
  }

  private void forward() {
    try (BufferedReader lines =
        new BufferedReader(
            new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8))) {
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        System.err.println(LOG_PREFIX + line);
      }
    } catch (IOException e) {
      LOG.debug("The replica's log broke off", e);
    }
  }

  /** Each caller is heard on a thread of its own, so that a stranger keeps nobody waiting. */
  private void listen() {
    try (listener) {
      while (!connected.isDone()) {
        Socket caller = listener.accept();
        Thread.ofVirtual().name("replica-greeting").start(() -> admit(caller));
      }
    } catch (IOException e) {
      connected.completeExceptionally(e);
    }
  }

  private void admit(Socket caller) {
    boolean admitted = false;
    try {
      admitted = handshake.admit(caller) && connected.complete(caller);
    } catch (ProtocolException e) {
      connected.completeExceptionally(e);
    } catch (IOException e) {
      LOG.debug("Somebody called who is no replica", e);
    }
    if (admitted || connected.isDone()) {
      Sockets.close(listener);
    }
    if (!admitted) {
      LOG.debug("{} was not let in", caller);
      Sockets.close(caller);
    }
  }

  /**
   * Waits for the process to connect.
   *
   * @throws IOException saying why it does not
   */
  Socket connection() throws IOException, InterruptedException {
    try {
      return connected.get(CONNECT_PATIENCE.toMillis(), TimeUnit.MILLISECONDS);
    } catch (ExecutionException e) {
      if (e.getCause() instanceof ProtocolException refused) {
        throw refused;
      }
      throw new IOException(describeEnd() + " before it was heard of", e.getCause());
    } catch (TimeoutException _) {
      throw new IOException(
          "the replica was not heard of for " + CONNECT_PATIENCE.toMinutes() + " min");
    }
  }

  /** How the process ended, for which it is waited for; a process that lives on is killed. */
  String describeEnd() throws InterruptedException {
    if (!process.waitFor(END_PATIENCE.toMillis(), TimeUnit.MILLISECONDS)) {
      process.destroyForcibly();
      return "the replica's connection broke, and its process was killed";
    }
    int status = process.exitValue();
    String signal = SIGNALS.get(status - 128);
    return "the replica's process ended with exit status "
        + status
        + (signal == null ? "" : ", " + signal);
  }

  /**
   * Ends the process: by itself when it can, by a signal when it must. Its connection is closed. An
   * interrupt does not hurry it.
   */
  @Override
  public void close() {
    boolean interrupted = Thread.interrupted();
    Sockets.close(listener);
    try {
      if (hasEnded(END_PATIENCE)) {
        return;
      }
      LOG.warn("The replica's process {} does not end; it gets SIGTERM", process.pid());
      process.destroy();
      if (!hasEnded(SIGNAL_PATIENCE)) {
        LOG.warn("The replica's process {} is killed", process.pid());
        process.destroyForcibly();
      }
    } catch (InterruptedException _) {
      process.destroyForcibly();
      interrupted = true;
    } finally {
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }

  private boolean hasEnded(Duration patience) throws InterruptedException {
    return process.waitFor(patience.toMillis(), TimeUnit.MILLISECONDS);
  }
}
