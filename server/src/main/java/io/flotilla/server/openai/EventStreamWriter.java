package io.flotilla.server.openai;

import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * Writes server-sent events, each one flushed. A client that reads slowly blocks the caller and
 * nobody else.
 */
public final class EventStreamWriter {
  private static final byte[] PREFIX = "data: ".getBytes(StandardCharsets.US_ASCII);
  private static final byte[] DONE = "[DONE]".getBytes(StandardCharsets.US_ASCII);
  private static final byte[] END = "\n\n".getBytes(StandardCharsets.US_ASCII);

  private final OutputStream output;

  public EventStreamWriter(OutputStream output) {
    this.output = output;
  }

  /** Sends one event. */
  public void send(JsonNode data) {
    write(JsonMapper.shared().writeValueAsBytes(data));
  }

  /** Sends OpenAI's last event and ends the stream. */
  public void done() {
    write(DONE);
    try {
      output.close();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private void write(byte[] data) {
    byte[] event = new byte[PREFIX.length + data.length + END.length];
    System.arraycopy(PREFIX, 0, event, 0, PREFIX.length);
    System.arraycopy(data, 0, event, PREFIX.length, data.length);
    System.arraycopy(END, 0, event, PREFIX.length + data.length, END.length);
    try {
      output.write(event);
      output.flush();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
