package io.flotilla.tokenizer;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * The vocabulary that a GGUF file carries, as its metadata ({@code tokenizer.ggml.*}) says it.
 *
 * @param model {@code gpt2} (byte-level BPE) or {@code llama} (SentencePiece BPE with scores)
 * @param pre the name of the pre-tokenizer, such as {@code llama-bpe}, or null where the file has
 *     none; {@code llama} vocabularies need none
 * @param tokens by id
 * @param types by id: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte; empty where
 *     the file has none
 * @param scores by id; empty where the file has none
 * @param merges {@code "left right"}, first merge first; empty for {@code llama}
 * @param addBeginningOfSequence null where the file does not say
 * @param addEndOfSequence null where the file does not say
 * @param addSpacePrefix null where the file does not say
 */
public record GgufVocabulary(
    String model,
    @Nullable String pre,
    List<String> tokens,
    int[] types,
    float[] scores,
    List<String> merges,
    @Nullable Integer beginningOfSequence,
    @Nullable Integer endOfSequence,
    @Nullable Integer unknown,
    @Nullable Boolean addBeginningOfSequence,
    @Nullable Boolean addEndOfSequence,
    @Nullable Boolean addSpacePrefix) {
  private static final int CONTROL = 3;
  private static final int USER_DEFINED = 4;

  /**
   * @throws TokenizerException when the parts do not fit each other
   */
  public GgufVocabulary {
    tokens = List.copyOf(tokens);
    merges = List.copyOf(merges);
    if (tokens.isEmpty()) {
      throw new TokenizerException("tokenizer.ggml.tokens is empty");
    }
    requireOneEach("token_type", types.length, tokens.size());
    requireOneEach("scores", scores.length, tokens.size());
    requireToken("bos_token_id", beginningOfSequence, tokens.size());
    requireToken("eos_token_id", endOfSequence, tokens.size());
    requireToken("unknown_token_id", unknown, tokens.size());
  }

  private static void requireOneEach(String key, int count, int tokens) {
    if (count != 0 && count != tokens) {
      throw new TokenizerException(
          "tokenizer.ggml." + key + " has " + count + " elements for " + tokens + " tokens");
    }
  }

  private static void requireToken(String key, @Nullable Integer id, int tokens) {
    if (id != null && (id < 0 || id >= tokens)) {
      throw new TokenizerException(
          "tokenizer.ggml." + key + " is " + id + " but there are " + tokens + " tokens");
    }
  }

  /** The special tokens that chat templates name, such as {@code bos_token}. */
  public Map<String, String> specialTokens() {
    Map<String, String> named = new HashMap<>();
    putToken(named, "bos_token", beginningOfSequence);
    putToken(named, "eos_token", endOfSequence);
    putToken(named, "unk_token", unknown);
    return named;
  }

  private void putToken(Map<String, String> named, String name, @Nullable Integer id) {
    if (id != null) {
      named.put(name, tokens.get(id));
    }
  }

  /** Whether a token is written by templates and the engine alone. */
  boolean isControl(int id) {
    return id < types.length && types[id] == CONTROL;
  }

  /** Whether a token is found in a text before anything else is. */
  boolean isAdded(int id) {
    return isControl(id) || (id < types.length && types[id] == USER_DEFINED);
  }
}
