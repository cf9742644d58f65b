package io.flotilla.executor.wire;

import java.io.EOFException;
import java.io.IOException;
import java.net.SocketTimeoutException;
import java.net.StandardSocketOptions;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.ReadableByteChannel;
import java.nio.channels.SocketChannel;
import java.time.Duration;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * One TCP connection between two nodes. First used by one thread that waits for answers ({@link
 * #sendNow}, {@link #receive}); then, once {@link #start}ed, by anyone: a thread writes frames in
 * the order they are sent, so that nobody waits for the network, and another reads.
 *
 * <p>A node says with its last frame why it ends. What follows is the end of the stream, and no
 * frame is lost to it: who has sent the last frame closes for writing alone and reads on until the
 * other has closed too.
 */
public final class NodeConnection implements AutoCloseable {
  private static final int QUEUED_FRAMES = 1024;
  private static final Duration CLOSE_PATIENCE = Duration.ofSeconds(1);

  private final SocketChannel channel;
  private final int node;
  private final String peer;
  private final FramePool pool;
  private final BlockingQueue<Frame> queue = new ArrayBlockingQueue<>(QUEUED_FRAMES);
  private final AtomicBoolean finished = new AtomicBoolean();
  private final ByteBuffer header =
      ByteBuffer.allocateDirect(Frame.HEADER).order(ByteOrder.LITTLE_ENDIAN);
  private final AtomicLong received = new AtomicLong();
  private final AtomicLong work = new AtomicLong();
  private @Nullable Thread reader;
  private @Nullable Thread writer;

  /**
   * @param channel becomes the connection's
   * @param node at the other end
   */
  NodeConnection(SocketChannel channel, int node, FramePool pool) throws IOException {
    this.channel = channel;
    this.node = node;
    this.pool = pool;
    this.peer = "node %d (%s)".formatted(node, channel.socket().getInetAddress().getHostAddress());
    channel.setOption(StandardSocketOptions.TCP_NODELAY, true);
    channel.setOption(StandardSocketOptions.SO_KEEPALIVE, true);
  }

  /** The node at the other end. */
  public int node() {
    return node;
  }

  /** The node at the other end, for messages. */
  public String peer() {
    return peer;
  }

  /** Bytes that have come. Any thread. */
  public long received() {
    return received.get();
  }

  /** Bytes of plans, results and messages that have come. Any thread. */
  public long work() {
    return work.get();
  }

  /**
   * Sends a frame and waits until it is on its way; before {@link #start}.
   *
   * @throws NodeException when the other end is gone
   */
  void sendNow(Frame frame) {
    try {
      write(frame);
    } catch (IOException e) {
      throw broken(e);
    }
  }

  /**
   * Waits for the next frame; before {@link #start}.
   *
   * @throws NodeException when none comes, when it is another one, or when the other end has failed
   */
  Frame receive(FrameKind wanted, Duration patience) {
    try {
      channel.socket().setSoTimeout(Math.toIntExact(patience.toMillis()));
      Frame frame = read(new SocketReads(channel));
      channel.socket().setSoTimeout(0);
      if (frame.kind() == FrameKind.FAILURE) {
        throw FailureCodec.read(frame, peer);
      }
      if (frame.kind() != wanted) {
        throw new NodeException(
            "%s sent %s where %s was expected".formatted(peer, frame.kind(), wanted));
      }
      return frame;
    } catch (SocketTimeoutException e) {
      throw new NodeException("%s said nothing for %d s".formatted(peer, patience.toSeconds()), e);
    } catch (IOException e) {
      throw broken(e);
    }
  }

  /**
   * Reads and writes from now on.
   *
   * @param frames gets each frame that comes, and releases it; on the connection's thread
   * @param failures hears once when the connection breaks or {@code frames} throws
   */
  public void start(Consumer<Frame> frames, Consumer<Throwable> failures) {
    reader =
        Thread.ofPlatform()
            .daemon()
            .name("from-node-" + node)
            .start(() -> readAll(frames, failures));
    writer = Thread.ofPlatform().daemon().name("to-node-" + node).start(() -> writeAll(failures));
  }

  /** Queues a frame, which is the connection's from now on. Any thread. */
  public void send(Frame frame) {
    try {
      queue.put(frame);
    } catch (InterruptedException _) {
      Thread.currentThread().interrupt();
    }
  }

  /** Queues a frame unless many are waiting: for what the next one makes up for. */
  public void offer(Frame frame) {
    if (!queue.offer(frame)) {
      frame.release();
    }
  }

  /** Sends the last frame before all that wait; nothing afterwards. Any thread; only once. */
  public void finish(Frame last) {
    if (!finished.compareAndSet(false, true)) {
      return;
    }
    if (writer == null) {
      finishNow(last);
    } else {
      queue.clear();
      queue.add(last);
    }
  }

  private void finishNow(Frame last) {
    try {
      write(last);
      channel.shutdownOutput();
    } catch (IOException _) {
      // The other end knows already.
    }
  }

  private void readAll(Consumer<Frame> frames, Consumer<Throwable> failures) {
    boolean ended = false;
    try {
      while (true) {
        Frame frame = read(channel);
        ended |= frame.kind().isLast();
        frames.accept(frame);
      }
    } catch (IOException e) {
      if (!ended && !finished.get()) {
        failures.accept(broken(e));
      }
    } catch (RuntimeException | Error e) {
      failures.accept(e);
    } finally {
      close(channel);
    }
  }

  private void writeAll(Consumer<Throwable> failures) {
    try {
      for (boolean last = false; !last; ) {
        Frame frame = queue.take();
        last = frame.kind().isLast();
        write(frame);
        frame.release();
      }
      channel.shutdownOutput();
    } catch (IOException e) {
      if (!finished.get()) {
        failures.accept(broken(e));
      }
    } catch (InterruptedException _) {
      // Closed.
    }
  }

  private void write(Frame frame) throws IOException {
    ByteBuffer bytes = frame.toWire();
    while (bytes.hasRemaining()) {
      channel.write(bytes);
    }
  }

  private Frame read(ReadableByteChannel from) throws IOException {
    header.clear();
    fill(header, from, false);
    header.flip();
    Frame frame = pool.take(Frame.length(header));
    ByteBuffer rest = frame.fromWire(header);
    fill(rest, from, frame.kind().isWork());
    return frame.rewind();
  }

  private void fill(ByteBuffer to, ReadableByteChannel from, boolean works) throws IOException {
    while (to.hasRemaining()) {
      int count = from.read(to);
      if (count < 0) {
        throw new EOFException("it ended without a word");
      }
      received.addAndGet(count);
      work.addAndGet(works ? count : 0);
    }
  }

  private NodeException broken(IOException cause) {
    return new NodeException("%s is gone: %s".formatted(peer, cause.getMessage()), cause);
  }

  /** Closes what has nothing more to say. */
  static void close(SocketChannel channel) {
    try {
      channel.close();
    } catch (IOException _) {
      // Nothing is lost with it.
    }
  }

  /** Waits shortly for the last frame to be on its way, and closes. */
  @Override
  public void close() {
    Thread reading = reader;
    Thread writing = writer;
    try {
      if (finished.get() && reading != null && reading != Thread.currentThread()) {
        reading.join(CLOSE_PATIENCE);
      }
    } catch (InterruptedException _) {
      Thread.currentThread().interrupt();
    } finally {
      close(channel);
      if (writing != null) {
        writing.interrupt();
      }
    }
  }
}
