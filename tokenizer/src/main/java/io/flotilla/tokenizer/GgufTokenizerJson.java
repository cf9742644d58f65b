package io.flotilla.tokenizer;

import java.io.ByteArrayOutputStream;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JsonGenerator;
import tools.jackson.core.ObjectWriteContext;
import tools.jackson.core.json.JsonFactory;

/**
 * Writes the {@code tokenizer.json} that a GGUF file's vocabulary was made from, so that one
 * library reads both.
 */
final class GgufTokenizerJson {
  private final GgufVocabulary vocabulary;
  private final JsonGenerator json;

  private GgufTokenizerJson(GgufVocabulary vocabulary, JsonGenerator json) {
    this.vocabulary = vocabulary;
    this.json = json;
  }

  /**
   * The text of the {@code tokenizer.json}, in UTF-8.
   *
   * @throws TokenizerException when the vocabulary or its pre-tokenizer is of no supported kind
   */
  static byte[] of(GgufVocabulary vocabulary) {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream(vocabulary.tokens().size() * 64);
    try (JsonGenerator json =
        new JsonFactory().createGenerator(ObjectWriteContext.empty(), bytes)) {
      new GgufTokenizerJson(vocabulary, json).write();
    }
    return bytes.toByteArray();
  }

  private void write() {
    json.writeStartObject();
    json.writeStringProperty("version", "1.0");
    writeAddedTokens();
    switch (vocabulary.model()) {
      case "gpt2" -> writeByteLevel(GgufPreTokenizer.named(vocabulary.pre()));
      case "llama" -> writeSentencePiece();
      default ->
          throw new TokenizerException(
              "tokenizer.ggml.model is "
                  + vocabulary.model()
                  + "; gpt2 and llama are supported: give the model's own with --tokenizer");
    }
    json.writeEndObject();
  }

  private void writeAddedTokens() {
    json.writeArrayPropertyStart("added_tokens");
    for (int id = 0; id < vocabulary.tokens().size(); id++) {
      if (vocabulary.isAdded(id)) {
        json.writeStartObject();
        json.writeNumberProperty("id", id);
        json.writeStringProperty("content", vocabulary.tokens().get(id));
        for (String rule : List.of("single_word", "lstrip", "rstrip", "normalized")) {
          json.writeBooleanProperty(rule, false);
        }
        json.writeBooleanProperty("special", vocabulary.isControl(id));
        json.writeEndObject();
      }
    }
    json.writeEndArray();
  }

  private void writeByteLevel(GgufPreTokenizer pre) {
    if (pre.composesUnicode()) {
      writeTyped("normalizer", "NFC");
    } else {
      json.writeNullProperty("normalizer");
    }
    pre.write(json);
    writePostProcessor(pre.addsBeginningOfSequence());
    json.writeObjectPropertyStart("decoder");
    json.writeStringProperty("type", "ByteLevel");
    json.writeBooleanProperty("add_prefix_space", true);
    json.writeBooleanProperty("trim_offsets", true);
    json.writeBooleanProperty("use_regex", true);
    json.writeEndObject();
    List<String[]> merges = vocabulary.merges().stream().map(this::splitMerge).toList();
    writeModel(merges, null, pre.ignoresMerges());
  }

  /** A token of a merge is never empty, so that a separator is not its first character. */
  private String[] splitMerge(String merge) {
    int space = merge.indexOf(' ', 1);
    if (space < 0 || space == merge.length() - 1) {
      throw new TokenizerException("tokenizer.ggml.merges has \"" + merge + "\", which is no pair");
    }
    return new String[] {merge.substring(0, space), merge.substring(space + 1)};
  }

  private void writeSentencePiece() {
    boolean prefix = !Boolean.FALSE.equals(vocabulary.addSpacePrefix());
    json.writeObjectPropertyStart("normalizer");
    json.writeStringProperty("type", "Sequence");
    json.writeArrayPropertyStart("normalizers");
    if (prefix) {
      json.writeStartObject();
      json.writeStringProperty("type", "Prepend");
      json.writeStringProperty("prepend", SentencePieceMerges.SPACE);
      json.writeEndObject();
    }
    writeReplace(" ", SentencePieceMerges.SPACE);
    json.writeEndArray();
    json.writeEndObject();
    json.writeNullProperty("pre_tokenizer");
    writePostProcessor(true);
    writeSentencePieceDecoder(prefix);
    Integer unknown = vocabulary.unknown();
    writeModel(
        SentencePieceMerges.of(vocabulary),
        vocabulary.tokens().get(unknown == null ? 0 : unknown),
        false);
  }

  private void writeSentencePieceDecoder(boolean prefix) {
    json.writeObjectPropertyStart("decoder");
    json.writeStringProperty("type", "Sequence");
    json.writeArrayPropertyStart("decoders");
    writeReplace(SentencePieceMerges.SPACE, " ");
    for (String type : List.of("ByteFallback", "Fuse")) {
      json.writeStartObject();
      json.writeStringProperty("type", type);
      json.writeEndObject();
    }
    if (prefix) {
      json.writeStartObject();
      json.writeStringProperty("type", "Strip");
      json.writeStringProperty("content", " ");
      json.writeNumberProperty("start", 1);
      json.writeNumberProperty("stop", 0);
      json.writeEndObject();
    }
    json.writeEndArray();
    json.writeEndObject();
  }

  private void writeReplace(String from, String to) {
    json.writeStartObject();
    json.writeStringProperty("type", "Replace");
    json.writeObjectPropertyStart("pattern");
    json.writeStringProperty("String", from);
    json.writeEndObject();
    json.writeStringProperty("content", to);
    json.writeEndObject();
  }

  private void writeTyped(String property, String type) {
    json.writeObjectPropertyStart(property);
    json.writeStringProperty("type", type);
    json.writeEndObject();
  }

  private void writePostProcessor(boolean beginsByDefault) {
    Integer begin =
        marker(
            vocabulary.beginningOfSequence(), vocabulary.addBeginningOfSequence(), beginsByDefault);
    Integer end = marker(vocabulary.endOfSequence(), vocabulary.addEndOfSequence(), false);
    if (begin == null && end == null) {
      json.writeNullProperty("post_processor");
      return;
    }
    json.writeObjectPropertyStart("post_processor");
    json.writeStringProperty("type", "TemplateProcessing");
    writePieces("single", begin, List.of("A"), end);
    writePieces("pair", begin, List.of("A", "B"), end);
    json.writeObjectPropertyStart("special_tokens");
    for (Integer id :
        begin != null && begin.equals(end) ? Arrays.asList(begin) : Arrays.asList(begin, end)) {
      if (id != null) {
        writeSpecialToken(id);
      }
    }
    json.writeEndObject();
    json.writeEndObject();
  }

  private static @Nullable Integer marker(
      @Nullable Integer id, @Nullable Boolean add, boolean byDefault) {
    return (add == null ? byDefault : add) ? id : null;
  }

  private void writePieces(
      String property, @Nullable Integer begin, List<String> sequences, @Nullable Integer end) {
    json.writeArrayPropertyStart(property);
    writePiece(begin);
    for (String sequence : sequences) {
      writePiece("Sequence", sequence);
    }
    writePiece(end);
    json.writeEndArray();
  }

  private void writePiece(@Nullable Integer special) {
    if (special != null) {
      writePiece("SpecialToken", vocabulary.tokens().get(special));
    }
  }

  private void writePiece(String kind, String id) {
    json.writeStartObject();
    json.writeObjectPropertyStart(kind);
    json.writeStringProperty("id", id);
    json.writeNumberProperty("type_id", 0);
    json.writeEndObject();
    json.writeEndObject();
  }

  private void writeSpecialToken(int id) {
    String token = vocabulary.tokens().get(id);
    json.writeObjectPropertyStart(token);
    json.writeStringProperty("id", token);
    json.writeArrayPropertyStart("ids");
    json.writeNumber(id);
    json.writeEndArray();
    json.writeArrayPropertyStart("tokens");
    json.writeString(token);
    json.writeEndArray();
    json.writeEndObject();
  }

  /** A byte-level model has no unknown token; SentencePiece has one, and bytes before it. */
  private void writeModel(List<String[]> merges, @Nullable String unknown, boolean ignoresMerges) {
    json.writeObjectPropertyStart("model");
    json.writeStringProperty("type", "BPE");
    if (unknown != null) {
      json.writeStringProperty("unk_token", unknown);
    }
    json.writeBooleanProperty("fuse_unk", unknown != null);
    json.writeBooleanProperty("byte_fallback", unknown != null);
    json.writeBooleanProperty("ignore_merges", ignoresMerges);
    json.writeObjectPropertyStart("vocab");
    for (int id = 0; id < vocabulary.tokens().size(); id++) {
      json.writeNumberProperty(vocabulary.tokens().get(id), id);
    }
    json.writeEndObject();
    json.writeArrayPropertyStart("merges");
    for (String[] merge : merges) {
      json.writeArray(merge, 0, merge.length);
    }
    json.writeEndArray();
    json.writeEndObject();
  }
}
