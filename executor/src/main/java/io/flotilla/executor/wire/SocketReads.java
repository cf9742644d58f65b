package io.flotilla.executor.wire;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.channels.ReadableByteChannel;
import java.nio.channels.SocketChannel;

/** Reads of a channel that end with its socket's timeout, which those of the channel do not. */
record SocketReads(SocketChannel channel) implements ReadableByteChannel {
  @Override
  public int read(ByteBuffer to) throws IOException {
    InputStream stream = channel.socket().getInputStream();
    byte[] bytes = new byte[to.remaining()];
    int count = stream.read(bytes);
    if (count > 0) {
      to.put(bytes, 0, count);
    }
    return count;
  }

  @Override
  public boolean isOpen() {
    return channel.isOpen();
  }

  @Override
  public void close() throws IOException {
    channel.close();
  }
}
