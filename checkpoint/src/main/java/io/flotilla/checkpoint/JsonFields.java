package io.flotilla.checkpoint;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** The fields of one JSON object of a file. Every error names the file and the field. */
final class JsonFields {
  private static final JsonMapper MAPPER =
      JsonMapper.builder().enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION).build();

  private final String file;
  private final String prefix;
  private final JsonNode node;

  private JsonFields(String file, String prefix, JsonNode node) {
    this.file = file;
    this.prefix = prefix;
    this.node = node;
  }

  /**
   * Reads a file that holds one object.
   *
   * @param maxBytes larger files are refused: what is parsed lies on the heap
   * @throws CheckpointException when it is missing, too large, not JSON or not an object
   */
  static JsonFields read(Path path, long maxBytes) {
    try {
      long bytes = Files.size(path);
      if (bytes > maxBytes) {
        throw new CheckpointException(
            path + " has " + bytes + " bytes; at most " + maxBytes + " are read");
      }
      return parse(path.toString(), Files.readAllBytes(path));
    } catch (NoSuchFileException e) {
      throw new CheckpointException(path + " is missing", e);
    } catch (IOException e) {
      throw new CheckpointException(path + " cannot be read: " + e, e);
    }
  }

  private static JsonFields parse(String file, byte[] json) {
    JsonNode root;
    try {
      root = MAPPER.readTree(json);
    } catch (JacksonException e) {
      throw new CheckpointException(file + " is not valid JSON: " + e.getOriginalMessage(), e);
    }
    if (!root.isObject()) {
      throw new CheckpointException(file + " holds no JSON object");
    }
    return new JsonFields(file, "", root);
  }

  /** Whether the field is there and not null. */
  boolean has(String field) {
    return value(field) != null;
  }

  /** The names of all fields, in the order of the file. */
  List<String> names() {
    return List.copyOf(node.propertyNames());
  }

  /** An integer from 1 to {@code max}. */
  int positive(String field, int max) {
    JsonNode value = value(field);
    if (value == null) {
      throw error(field, "is missing");
    }
    return integer(field, value, 1, max);
  }

  /** An integer from 1 to {@code max}, or the default where the field is absent. */
  int positive(String field, int max, int absent) {
    JsonNode value = value(field);
    return value == null ? absent : integer(field, value, 1, max);
  }

  private int integer(String field, JsonNode value, int min, int max) {
    if (!value.isIntegralNumber()) {
      throw error(field, "is " + shown(value) + ", not an integer");
    }
    if (!value.canConvertToInt() || value.intValue() < min || value.intValue() > max) {
      throw error(field, "is " + shown(value) + ", not within " + min + " to " + max);
    }
    return value.intValue();
  }

  /** A finite number, or null where the field is absent. */
  @Nullable Double number(String field) {
    JsonNode value = value(field);
    if (value == null) {
      return null;
    }
    if (!value.isNumber() || !Double.isFinite(value.doubleValue())) {
      throw error(field, "is " + shown(value) + ", not a number");
    }
    return value.doubleValue();
  }

  /** A finite number above 0, or the default where the field is absent. */
  double positiveNumber(String field, double absent) {
    Double number = number(field);
    if (number == null) {
      return absent;
    }
    if (number <= 0 || number > Float.MAX_VALUE) {
      throw error(field, "is " + number + ", not a positive number");
    }
    return number;
  }

  boolean flag(String field, boolean absent) {
    JsonNode value = value(field);
    if (value == null) {
      return absent;
    }
    if (!value.isBoolean()) {
      throw error(field, "is " + shown(value) + ", not true or false");
    }
    return value.booleanValue();
  }

  @Nullable String text(String field) {
    JsonNode value = value(field);
    if (value == null) {
      return null;
    }
    if (!value.isString()) {
      throw error(field, "is " + shown(value) + ", not a string");
    }
    return value.stringValue();
  }

  /** The strings of an array; none where the field is absent. */
  List<String> texts(String field) {
    JsonNode value = value(field);
    List<String> texts = new ArrayList<>();
    if (value == null) {
      return texts;
    }
    if (!value.isArray()) {
      throw error(field, "is " + shown(value) + ", not a list of strings");
    }
    for (JsonNode element : value) {
      if (!element.isString()) {
        throw error(field, "holds " + shown(element) + ", not a string");
      }
      texts.add(element.stringValue());
    }
    return texts;
  }

  /** Numbers, such as token ids, written as one or as a list; none where the field is absent. */
  List<Integer> tokenIds(String field) {
    JsonNode value = value(field);
    List<Integer> ids = new ArrayList<>();
    if (value == null) {
      return ids;
    }
    if (!value.isArray()) {
      return List.of(integer(field, value, 0, Integer.MAX_VALUE));
    }
    for (JsonNode element : value) {
      ids.add(integer(field, element, 0, Integer.MAX_VALUE));
    }
    return ids;
  }

  /** The fields of a nested object, or null where there is none. */
  @Nullable JsonFields object(String field) {
    JsonNode value = value(field);
    if (value == null) {
      return null;
    }
    if (!value.isObject()) {
      throw error(field, "is " + shown(value) + ", not an object");
    }
    return new JsonFields(file, prefix + field + ".", value);
  }

  /** The error {@code FILE: FIELD PROBLEM}. */
  CheckpointException error(String field, String problem) {
    return new CheckpointException(file + ": " + prefix + field + " " + problem);
  }

  private @Nullable JsonNode value(String field) {
    JsonNode value = node.get(field);
    return value == null || value.isNull() ? null : value;
  }

  private static String shown(JsonNode value) {
    String text = value.toString();
    return text.length() <= 60 ? text : text.substring(0, 60) + "...";
  }
}
