package io.flotilla.fleet.remote;

import io.flotilla.engine.EngineCommand;
import io.flotilla.engine.EngineCommand.Abort;
import io.flotilla.engine.EngineCommand.Submit;
import io.flotilla.engine.TokenEvent;
import io.flotilla.engine.TokenEvent.Failed;
import io.flotilla.engine.TokenEvent.FailureCode;
import io.flotilla.engine.TokenEvent.Finished;
import io.flotilla.engine.TokenSink;
import io.flotilla.fleet.remote.Report.Told;
import java.io.IOException;
import java.net.Socket;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** A replica's connection, from the first word to the last, and the sequences it was given. */
final class ReplicaConnection implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(ReplicaConnection.class);

  private final Socket socket;
  private final FrameReader reader;
  private final FrameSender sender;
  private final Map<Long, TokenSink> live = new ConcurrentHashMap<>();
  private volatile boolean over;

  ReplicaConnection(Socket socket) throws IOException {
    this.socket = socket;
    this.reader = new FrameReader(socket.getInputStream());
    this.sender = new FrameSender(socket, "replica-sender");
  }

  /**
   * Hands over a sequence, which hears of everything through its sink unless the connection is
   * over.
   *
   * @return whether it was handed over
   */
  boolean submit(Submit submit) {
    live.put(submit.id(), submit.sink());
    if (over && live.remove(submit.id()) != null) {
      return false;
    }
    send(submit);
    return true;
  }

  void send(EngineCommand command) {
    sender.add(out -> CommandCodec.write(command, out));
    sender.flush();
  }

  /**
   * Tells sinks what is for them until the connection ends.
   *
   * @param others takes all other reports
   * @throws IOException when it ends otherwise than by the replica's closing it
   */
  void listen(Consumer<Report> others) throws IOException {
    for (Report report = reader.next(ReportCodec::read);
        report != null;
        report = reader.next(ReportCodec::read)) {
      if (report instanceof Told(TokenEvent event)) {
        tell(event);
      } else {
        others.accept(report);
      }
    }
  }

  private void tell(TokenEvent event) {
    boolean last = event instanceof Finished || event instanceof Failed;
    TokenSink sink = last ? live.remove(event.id()) : live.get(event.id());
    if (sink != null && !accepts(sink, event)) {
      live.remove(event.id());
      send(new Abort(event.id()));
    }
  }

  /** Whatever a sink throws goes no further, because others are to be served. */
  private static boolean accepts(TokenSink sink, TokenEvent event) {
    try {
      sink.accept(event);
      return true;
    } catch (RuntimeException | Error cause) {
      LOG.error("The sink of sequence {} failed; the sequence is aborted", event.id(), cause);
      return false;
    }
  }

  /** Fails what lives and takes no more. */
  void end(String cause) {
    over = true;
    for (Long id : List.copyOf(live.keySet())) {
      TokenSink sink = live.remove(id);
      if (sink != null) {
        accepts(sink, new Failed(id, FailureCode.REPLICA_FAILED, cause));
      }
    }
  }

  /** Ends the connection, and with it the replica's process. */
  @Override
  public void close() {
    sender.close();
    Sockets.close(socket);
  }
}
