package io.flotilla.fleet.remote;

import io.flotilla.engine.EngineCommand;
import io.flotilla.engine.EngineListener;
import io.flotilla.engine.EngineStatistics;
import io.flotilla.engine.TokenEvent;
import io.flotilla.fleet.EngineClient;
import io.flotilla.fleet.LocalEngineClient;
import io.flotilla.fleet.remote.Report.Failed;
import io.flotilla.fleet.remote.Report.Loading;
import io.flotilla.fleet.remote.Report.Ready;
import io.flotilla.fleet.remote.Report.SequenceEnded;
import io.flotilla.fleet.remote.Report.StepApplied;
import io.flotilla.fleet.remote.Report.Told;
import io.flotilla.fleet.remote.Report.TurnEnded;
import java.io.IOException;
import java.io.InputStream;
import java.net.Socket;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The other end of a {@link RemoteEngineClient}: runs an engine in a process that was started for
 * it, obeys, and reports. It lives no longer than the one who started it.
 */
public final class ReplicaHost implements EngineListener {
  private static final Logger LOG = LoggerFactory.getLogger(ReplicaHost.class);

  /** Why the host ends: the engine was drained, or it failed. */
  private enum Ending {
    DRAINED,
    FAILED
  }

  /**
   * An engine that was started.
   *
   * @param maxModelLength tokens of prompt and output of one sequence at most
   */
  public record LoadedReplica(LocalEngineClient engine, int maxModelLength) {}

  /** Loads a model and starts its engine. */
  @FunctionalInterface
  public interface Loader {
    LoadedReplica load(EngineListener listener, WeightsListener progress);
  }

  private final Socket socket;
  private final FrameSender sender;
  private final Runnable abandoned;
  private final CompletableFuture<EngineClient> engine = new CompletableFuture<>();
  private final CompletableFuture<Ending> ending = new CompletableFuture<>();

  private ReplicaHost(Socket socket, Runnable abandoned) throws IOException {
    this.socket = socket;
    this.sender = new FrameSender(socket, "replica-sender");
    this.abandoned = abandoned;
  }

  /**
   * Connects to the process that started this one.
   *
   * @param stdin where that one says how
   * @param abandoned ends this process; called when the other one is gone
   */
  public static ReplicaHost connect(InputStream stdin, Runnable abandoned) throws IOException {
    return new ReplicaHost(Handshake.readFrom(stdin).connect(), abandoned);
  }

  /**
   * Serves until the engine was drained or has failed, and says so.
   *
   * @return whether it was drained
   */
  public boolean run(Loader loader) throws InterruptedException {
    Thread.ofPlatform().name("replica-commands").daemon().start(this::obeyAll);
    try {
      serve(loader);
    } catch (RuntimeException | Error cause) {
      failed(cause);
    }
    Ending reason = ending.join();
    sender.close();
    return reason == Ending.DRAINED;
  }

  private void serve(Loader loader) {
    LoadedReplica loaded = loader.load(this, (bytes, total) -> send(new Loading(bytes, total)));
    LocalEngineClient client = loaded.engine();
    send(new Ready(loaded.maxModelLength(), client.status().statistics()));
    engine.complete(client);
    Thread.ofVirtual().name("replica-end").start(() -> awaitEnd(client));
  }

  private void awaitEnd(LocalEngineClient client) {
    try {
      client.awaitEnd();
      ending.complete(Ending.DRAINED);
    } catch (InterruptedException _) {
      Thread.currentThread().interrupt();
    }
  }

  /** Lets what runs finish and takes no more. */
  public void drain() {
    var _ = engine.thenAccept(EngineClient::drain);
  }

  private void obeyAll() {
    try {
      FrameReader reader = new FrameReader(socket.getInputStream());
      while (true) {
        EngineCommand command =
            reader.next((type, fields) -> CommandCodec.read(type, fields, this::tell));
        if (command == null) {
          break;
        }
        obey(command);
      }
      LOG.debug("The server has closed the connection");
    } catch (IOException e) {
      LOG.debug("The connection to the server broke", e);
    }
    if (!ending.isDone()) {
      abandoned.run();
    }
  }

  /** Nothing but the connection's end is heard before the engine runs. */
  private void obey(EngineCommand command) {
    EngineClient client = engine.join();
    switch (command) {
      case EngineCommand.Submit submit -> client.submit(submit);
      case EngineCommand.Abort(long id) -> client.abort(id);
      case EngineCommand.Drain() -> client.drain();
    }
    sender.flush(); // A refusal comes at once, outside of any turn.
  }

  private void tell(TokenEvent event) {
    sender.add(out -> ReportCodec.write(new Told(event), out));
  }

  private void send(Report report) {
    sender.add(out -> ReportCodec.write(report, out));
    sender.flush();
  }

  @Override
  public void stepApplied(int tokens) {
    sender.add(out -> ReportCodec.write(new StepApplied(tokens), out));
  }

  @Override
  public void sequenceEnded(SequenceTimes times) {
    sender.add(out -> ReportCodec.write(new SequenceEnded(times), out));
  }

  /** All events of the turn leave together. */
  @Override
  public void turnEnded(EngineStatistics statistics) {
    send(new TurnEnded(statistics));
  }

  @Override
  public void failed(Throwable cause) {
    send(new Failed(Objects.requireNonNullElseGet(cause.getMessage(), cause::toString)));
    ending.complete(Ending.FAILED);
  }
}
