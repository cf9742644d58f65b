package io.flotilla.checkpoint;

import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The tokenizer that a GGUF file carries, as its metadata says it ({@code tokenizer.ggml.*}).
 *
 * @param model {@code gpt2} (byte-level BPE), {@code llama} (SentencePiece BPE with scores), ...
 * @param pre the pre-tokenizer's name, such as {@code llama-bpe}, {@code qwen2}, {@code smollm}
 * @param tokens by id
 * @param types by id: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte; empty where
 *     the file has none
 * @param scores by id; empty where the file has none
 * @param merges {@code "left right"}, first merge first; empty for SentencePiece
 * @param addBeginningOfSequence null where the file does not say
 * @param addEndOfSequence null where the file does not say
 * @param addSpacePrefix null where the file does not say
 * @param chatTemplate Jinja, or null
 */
@SuppressWarnings(
    "ArrayRecordComponent") // One integer and one float a token: lists would box them.
public record GgufTokenizer(
    String model,
    @Nullable String pre,
    List<String> tokens,
    int[] types,
    float[] scores,
    List<String> merges,
    @Nullable Integer beginningOfSequence,
    @Nullable Integer endOfSequence,
    @Nullable Integer unknown,
    @Nullable Integer padding,
    @Nullable Boolean addBeginningOfSequence,
    @Nullable Boolean addEndOfSequence,
    @Nullable Boolean addSpacePrefix,
    @Nullable String chatTemplate) {
  private static final String PREFIX = "tokenizer.ggml.";
  private static final int CONTROL = 3;

  public GgufTokenizer {
    tokens = List.copyOf(tokens);
    merges = List.copyOf(merges);
  }

  /** The tokenizer of a file, or null where it has none. */
  static @Nullable GgufTokenizer read(GgufMetadata metadata) {
    String model = metadata.text(PREFIX + "model");
    if (model == null || !metadata.has(PREFIX + "tokens")) {
      return null;
    }
    List<String> tokens = metadata.texts(PREFIX + "tokens");
    int[] types = metadata.integers(PREFIX + "token_type");
    float[] scores = metadata.floats(PREFIX + "scores");
    requireOneEach(metadata, "token_type", types.length, tokens.size());
    requireOneEach(metadata, "scores", scores.length, tokens.size());
    return new GgufTokenizer(
        model,
        metadata.text(PREFIX + "pre"),
        tokens,
        types,
        scores,
        metadata.texts(PREFIX + "merges"),
        id(metadata, "bos_token_id", tokens.size()),
        id(metadata, "eos_token_id", tokens.size()),
        id(metadata, "unknown_token_id", tokens.size()),
        id(metadata, "padding_token_id", tokens.size()),
        flag(metadata, "add_bos_token"),
        flag(metadata, "add_eos_token"),
        flag(metadata, "add_space_prefix"),
        metadata.text("tokenizer.chat_template"));
  }

  private static void requireOneEach(GgufMetadata metadata, String key, int count, int tokens) {
    if (count != 0 && count != tokens) {
      throw metadata.error(PREFIX + key, "has " + count + " elements for " + tokens + " tokens");
    }
  }

  /** A special token's id, or null where the file names none. */
  static @Nullable Integer id(GgufMetadata metadata, String key, int tokens) {
    if (!metadata.has(PREFIX + key)) {
      return null;
    }
    return metadata.whole(PREFIX + key, 0, Math.max(0, tokens - 1), 0);
  }

  private static @Nullable Boolean flag(GgufMetadata metadata, String key) {
    return metadata.has(PREFIX + key) ? metadata.flag(PREFIX + key, false) : null;
  }

  /** Whether a token is one that only a template or the engine writes. */
  boolean isControl(int id) {
    return id < types.length && types[id] == CONTROL;
  }
}
