package io.flotilla.fleet.remote;

import java.io.IOException;
import java.io.OutputStream;
import java.net.Socket;
import java.time.Duration;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Sends frames on a thread of its own, so that nobody waits for the other side. What is added
 * between two flushes goes in one write, and so does all that came while a write was under way.
 * When the other side is gone, frames are dropped and the socket is closed, which its reader sees.
 * Thread-safe.
 */
final class FrameSender implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(FrameSender.class);
  private static final int MOST_PENDING = 2 * FrameBuffer.MAX_FRAME;
  private static final Duration CLOSE_PATIENCE = Duration.ofSeconds(2);

  private final Socket socket;
  private final Thread thread;
  private FrameBuffer pending = new FrameBuffer();
  private @Nullable FrameBuffer spare = new FrameBuffer();
  private boolean wanted;
  private boolean closed;
  private boolean broken;

  FrameSender(Socket socket, String name) throws IOException {
    this.socket = socket;
    OutputStream out = socket.getOutputStream();
    this.thread = Thread.ofPlatform().name(name).daemon().start(() -> run(out));
  }

  /** Adds a frame, which leaves with the next flush at the latest. */
  synchronized void add(Consumer<FrameBuffer> frame) {
    if (broken || closed) {
      return;
    }
    frame.accept(pending);
    if (pending.size() > MOST_PENDING) {
      LOG.warn("The other process does not read: {} bytes wait for it", pending.size());
      giveUp();
    }
  }

  /** Sends what was added; returns at once. */
  synchronized void flush() {
    if (pending.size() > 0 && !wanted) {
      wanted = true;
      notifyAll();
    }
  }

  private void run(OutputStream out) {
    try {
      for (FrameBuffer frames = take(); frames != null; frames = take()) {
        frames.drainTo(out);
        giveBack(frames);
      }
    } catch (IOException e) {
      LOG.debug("The connection to the other process broke", e);
      giveUp();
    } catch (InterruptedException _) {
      giveUp();
    }
  }

  private synchronized @Nullable FrameBuffer take() throws InterruptedException {
    while (!wanted && !closed && !broken) {
      wait();
    }
    if (broken || pending.size() == 0) {
      return null;
    }
    FrameBuffer frames = pending;
    pending = spare == null ? new FrameBuffer() : spare;
    spare = null;
    wanted = false;
    return frames;
  }

  private synchronized void giveBack(FrameBuffer frames) {
    spare = frames;
  }

  private synchronized void giveUp() {
    broken = true;
    pending = new FrameBuffer();
    notifyAll();
    Sockets.close(socket);
  }

  /** Sends what is left, for a short time at most, and takes no more. The socket stays open. */
  @Override
  public void close() {
    synchronized (this) {
      closed = true;
      notifyAll();
    }
    try {
      if (!thread.join(CLOSE_PATIENCE)) {
        thread.interrupt();
      }
    } catch (InterruptedException _) {
      Thread.currentThread().interrupt();
    }
  }
}
