package io.flotilla.server.openai;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** A request without a socket, and what was answered. */
final class FakeExchange implements Exchange {
  private final long arrival = System.nanoTime();
  private final byte[] body;
  private final ByteArrayOutputStream stream = new ByteArrayOutputStream();
  private @Nullable JsonNode answer;
  private volatile boolean gone;

  FakeExchange(byte[] body) {
    this.body = body.clone();
  }

  /** The client goes away. */
  void leave() {
    gone = true;
  }

  JsonNode answered() {
    JsonNode whole = answer;
    if (whole == null) {
      throw new AssertionError("not answered");
    }
    return whole;
  }

  boolean hasBegun() {
    return answer != null || stream.size() > 0;
  }

  /** The events of a stream that was ended as OpenAI ends them. */
  List<JsonNode> streamed() {
    String text = stream.toString(StandardCharsets.UTF_8);
    if (!text.endsWith("data: [DONE]\n\n")) {
      throw new AssertionError("the stream has no end: " + text);
    }
    List<JsonNode> events = new ArrayList<>();
    for (String event : text.substring(0, text.length() - 16).split("\n\n", -1)) {
      if (!event.startsWith("data: ") || event.contains("\n")) {
        throw new AssertionError("no event of one line of data: " + event);
      }
      events.add(JsonMapper.shared().readTree(event.substring(6)));
    }
    return events;
  }

  @Override
  public long arrivalNanos() {
    return arrival;
  }

  @Override
  public String path() {
    return "/";
  }

  @Override
  public byte[] body() {
    return body;
  }

  @Override
  public void answer(JsonNode whole) {
    answer = whole;
  }

  @Override
  public EventStreamWriter events() {
    return new EventStreamWriter(stream);
  }

  @Override
  public boolean isClientGone() {
    return gone;
  }
}
