package io.flotilla.tokenizer;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.List;
import java.util.stream.StreamSupport;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;

/** The cases that the scripts in {@code src/test/python} write. */
final class Goldens {
  private Goldens() {}

  /** The elements of a resource, a JSON array. */
  static List<JsonNode> read(String resource) {
    try (@Nullable InputStream in = Goldens.class.getResourceAsStream(resource)) {
      if (in == null) {
        throw new AssertionError("no resource " + resource);
      }
      JsonNode array = new ObjectMapper().readTree(in);
      return StreamSupport.stream(array.spliterator(), false).toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  static int[] ints(JsonNode array) {
    return StreamSupport.stream(array.spliterator(), false).mapToInt(JsonNode::asInt).toArray();
  }
}
