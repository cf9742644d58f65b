package io.flotilla.tokenizer;

import java.util.Arrays;
import java.util.BitSet;
import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.core.ObjectReadContext;
import tools.jackson.core.json.JsonFactory;

/**
 * The tokens of a {@code tokenizer.json}: those of its model and the added ones. The native library
 * keeps its own copy, which it does not show.
 */
final class Vocabulary {
  /** No published vocabulary has a tenth of it; a hostile id must not allocate gigabytes. */
  private static final int MAX_ID = 1 << 24;

  private @Nullable String[] tokens = new String[1 << 12];
  private final Map<String, Integer> ids = new HashMap<>(1 << 12);
  private final BitSet special = new BitSet();
  private int size;

  private Vocabulary() {}

  /**
   * Reads the tokens of a {@code tokenizer.json} without building its tree, and no further: the
   * merges that follow are half of a large file, and the native library reads them.
   *
   * @throws TokenizerException when it is no JSON or has no vocabulary
   */
  static Vocabulary parse(byte[] json, String source) {
    Vocabulary vocabulary = new Vocabulary();
    try (JsonParser parser = new JsonFactory().createParser(ObjectReadContext.empty(), json)) {
      if (parser.nextToken() != JsonToken.START_OBJECT) {
        throw new TokenizerException(source + " is no JSON object");
      }
      boolean hasAdded = false;
      boolean isRead = false;
      while (!isRead && parser.nextToken() == JsonToken.PROPERTY_NAME) {
        String name = parser.currentName();
        parser.nextToken();
        switch (name) {
          case "model" -> isRead = vocabulary.readModel(parser, hasAdded);
          case "added_tokens" -> {
            vocabulary.readAddedTokens(parser);
            hasAdded = true;
          }
          default -> parser.skipChildren();
        }
      }
    } catch (JacksonException e) {
      throw new TokenizerException(
          source + " is corrupt: " + e.getOriginalMessage() + "; fetch it again", e);
    }
    if (vocabulary.size == 0) {
      throw new TokenizerException(source + " has no vocabulary");
    }
    return vocabulary;
  }

  /**
   * @param last whether nothing but the vocabulary is left to be read
   * @return whether it was read, and the parser was left behind it
   */
  private boolean readModel(JsonParser parser, boolean last) {
    if (parser.currentToken() != JsonToken.START_OBJECT) {
      parser.skipChildren();
      return false;
    }
    while (parser.nextToken() == JsonToken.PROPERTY_NAME) {
      boolean isVocabulary = parser.currentName().equals("vocab");
      JsonToken opening = parser.nextToken();
      if (isVocabulary && opening == JsonToken.START_OBJECT) {
        readIdByToken(parser);
      } else if (isVocabulary && opening == JsonToken.START_ARRAY) {
        readScoredTokens(parser);
      } else {
        parser.skipChildren();
      }
      if (last && isVocabulary) {
        return true;
      }
    }
    return false;
  }

  private void readIdByToken(JsonParser parser) {
    while (parser.nextToken() == JsonToken.PROPERTY_NAME) {
      String token = parser.currentName();
      parser.nextToken();
      add(parser.getIntValue(), token);
    }
  }

  /** A unigram model's list of {@code [token, score]}. */
  private void readScoredTokens(JsonParser parser) {
    for (int id = 0; parser.nextToken() == JsonToken.START_ARRAY; id++) {
      parser.nextToken();
      add(id, parser.getString());
      while (parser.nextToken() != JsonToken.END_ARRAY) {
        parser.skipChildren();
      }
    }
  }

  private void readAddedTokens(JsonParser parser) {
    if (parser.currentToken() != JsonToken.START_ARRAY) {
      parser.skipChildren();
      return;
    }
    while (parser.nextToken() == JsonToken.START_OBJECT) {
      readAddedToken(parser);
    }
  }

  private void readAddedToken(JsonParser parser) {
    int id = -1;
    String content = null;
    boolean isSpecial = false;
    while (parser.nextToken() == JsonToken.PROPERTY_NAME) {
      String name = parser.currentName();
      parser.nextToken();
      switch (name) {
        case "id" -> id = parser.getIntValue();
        case "content" -> content = parser.getString();
        case "special" -> isSpecial = parser.getBooleanValue();
        default -> parser.skipChildren();
      }
    }
    if (content != null) {
      add(id, content);
      special.set(id, isSpecial);
    }
  }

  private void add(int id, String token) {
    if (id < 0 || id > MAX_ID) {
      throw new TokenizerException("token " + token + " has the impossible id " + id);
    }
    if (id >= tokens.length) {
      tokens = Arrays.copyOf(tokens, Math.max(id + 1, 2 * tokens.length));
    }
    tokens[id] = token;
    ids.put(token, id);
    size = Math.max(size, id + 1);
  }

  /** One more than the largest id. */
  int size() {
    return size;
  }

  @Nullable String token(int id) {
    return id >= 0 && id < size ? tokens[id] : null;
  }

  int id(String token) {
    return ids.getOrDefault(token, -1);
  }

  boolean isSpecial(int id) {
    return id >= 0 && special.get(id);
  }
}
