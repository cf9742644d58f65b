package io.flotilla.bench.client;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class EventStreamParserTest {
  private final List<String> events = new ArrayList<>();
  private final EventStreamParser parser =
      new EventStreamParser(
          (bytes, offset, length) ->
              events.add(new String(bytes, offset, length, StandardCharsets.UTF_8)));

  private void feed(String text, int pieceSize) {
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    for (int from = 0; from < bytes.length; from += pieceSize) {
      parser.feed(ByteBuffer.wrap(bytes, from, Math.min(pieceSize, bytes.length - from)));
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 7, 1000})
  void findsTheSameEventsHoweverTheBytesAreCut(int pieceSize) {
    feed("data: größer\n\n: a comment\nevent: x\ndata:b\r\n\r\ndata: 1\ndata: 2\n\n", pieceSize);

    assertThat(events).containsExactly("größer", "b", "1\n2");
  }

  @Test
  void keepsAnEventBackUntilItsBlankLine() {
    feed("data: half\n", 100);

    assertThat(events).isEmpty();
  }

  @Test
  void growsWithALongEvent() {
    String large = "x".repeat(10_000);
    feed("data: " + large + "\n\ndata: y\n\n", 333);

    assertThat(events).containsExactly(large, "y");
  }
}
