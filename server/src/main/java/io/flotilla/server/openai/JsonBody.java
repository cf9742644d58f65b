package io.flotilla.server.openai;

import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import tools.jackson.core.JacksonException;
import tools.jackson.core.StreamReadConstraints;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.core.json.JsonFactory;
import tools.jackson.databind.DeserializationFeature;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/**
 * Reads a request's body: strict UTF-8, strict JSON, no key twice, no deep nests. The server's
 * limit of a body's bytes holds for all strings in it.
 */
final class JsonBody {
  private static final int DEEPEST = 64;
  private static final JsonMapper STRICT =
      JsonMapper.builder(
              JsonFactory.builder()
                  .streamReadConstraints(
                      StreamReadConstraints.builder()
                          .maxNestingDepth(DEEPEST)
                          .maxStringLength(Integer.MAX_VALUE)
                          .build())
                  .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                  .build())
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
          .build();

  private JsonBody() {}

  /**
   * @throws RefusedException when it is anything but one JSON object
   */
  static Fields parse(byte[] body) {
    JsonNode root;
    try {
      root = STRICT.readTree(decode(body));
    } catch (JacksonException e) {
      throw refused("the body is not valid JSON: " + firstLine(e.getOriginalMessage()));
    }
    if (root.isMissingNode()) {
      throw refused("the body is empty; send a JSON object");
    }
    if (!(root instanceof ObjectNode object)) {
      throw refused("the body is JSON, but not an object; send a JSON object");
    }
    return new Fields(object, "");
  }

  private static String decode(byte[] body) {
    try {
      return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(body)).toString();
    } catch (CharacterCodingException e) {
      throw refused("the body is not valid UTF-8 (" + e.getMessage() + "); encode it as UTF-8");
    }
  }

  /** Never the text around the place: it may be somebody's prompt, and errors get logged. */
  private static String firstLine(String message) {
    int end = message.indexOf('\n');
    String line = end < 0 ? message : message.substring(0, end);
    return line.length() > 200 ? line.substring(0, 200) + " ..." : line;
  }

  private static RefusedException refused(String message) {
    return new RefusedException(OpenAiError.invalid(null, message));
  }
}
