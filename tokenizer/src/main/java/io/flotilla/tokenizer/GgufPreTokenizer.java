package io.flotilla.tokenizer;

import java.util.Locale;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JsonGenerator;

/**
 * How a byte-level vocabulary cuts a text into words before it merges bytes: the kinds that {@code
 * tokenizer.ggml.pre} names, as llama.cpp's {@code llama-vocab.cpp} tells them apart, written as
 * the {@code tokenizer.json} of the models that use them.
 */
enum GgufPreTokenizer {
  /** GPT-2's words. */
  GPT2(null, false),
  /** GPT-2's words, each digit alone. */
  SMOLLM(null, true),
  LLAMA3(words("\\p{N}{1,3}"), false),
  QWEN2(words("\\p{N}"), false);

  private final @Nullable String pattern;
  private final boolean singleDigits;

  GgufPreTokenizer(@Nullable String pattern, boolean singleDigits) {
    this.pattern = pattern;
    this.singleDigits = singleDigits;
  }

  /** The pattern that Llama 3 and Qwen share but for how many digits make a word. */
  private static String words(String digits) {
    return "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|"
        + digits
        + "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
  }

  /**
   * @throws TokenizerException for a name that is not known, and for none
   */
  static GgufPreTokenizer named(@Nullable String name) {
    return switch (name == null ? "" : name.toLowerCase(Locale.ROOT)) {
      case "gpt-2", "gpt2" -> GPT2;
      case "smollm", "starcoder", "refact", "command-r", "codeshell" -> SMOLLM;
      case "llama-bpe", "llama3", "llama-v3", "smaug-bpe" -> LLAMA3;
      case "qwen2", "deepseek-r1-qwen" -> QWEN2;
      default ->
          throw new TokenizerException(
              "tokenizer.ggml.pre is "
                  + name
                  + "; gpt-2, smollm, llama-bpe and qwen2 are supported: give the model's own with"
                  + " --tokenizer");
    };
  }

  /** Whether the models of this kind bring a text to Unicode's composed form first. */
  boolean composesUnicode() {
    return this == QWEN2;
  }

  /** Whether a word that is a token is taken as it is, whatever the merges make of it. */
  boolean ignoresMerges() {
    return this == LLAMA3;
  }

  /** Whether sequences begin with a token of their own where the file does not say. */
  boolean addsBeginningOfSequence() {
    return this == LLAMA3;
  }

  void write(JsonGenerator json) {
    json.writeObjectPropertyStart("pre_tokenizer");
    json.writeStringProperty("type", "Sequence");
    json.writeArrayPropertyStart("pretokenizers");
    if (singleDigits) {
      json.writeStartObject();
      json.writeStringProperty("type", "Digits");
      json.writeBooleanProperty("individual_digits", true);
      json.writeEndObject();
    }
    if (pattern != null) {
      writeSplit(json, pattern);
    }
    json.writeStartObject();
    json.writeStringProperty("type", "ByteLevel");
    json.writeBooleanProperty("add_prefix_space", false);
    json.writeBooleanProperty("trim_offsets", true);
    json.writeBooleanProperty("use_regex", pattern == null);
    json.writeEndObject();
    json.writeEndArray();
    json.writeEndObject();
  }

  private static void writeSplit(JsonGenerator json, String regex) {
    json.writeStartObject();
    json.writeStringProperty("type", "Split");
    json.writeObjectPropertyStart("pattern");
    json.writeStringProperty("Regex", regex);
    json.writeEndObject();
    json.writeStringProperty("behavior", "Isolated");
    json.writeBooleanProperty("invert", false);
    json.writeEndObject();
  }
}
