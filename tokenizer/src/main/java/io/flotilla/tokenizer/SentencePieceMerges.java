package io.flotilla.tokenizer;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * The merges of a SentencePiece BPE vocabulary, which keeps scores in their place: every way to cut
 * a token into two tokens is a merge, best score first (the order that transformers' {@code
 * convert_slow_tokenizer.generate_merges} gives).
 */
final class SentencePieceMerges {
  /** SentencePiece writes a space as U+2581. */
  static final String SPACE = "\u2581";

  private record Merge(String left, String right, float score, int leftId, int rightId) {}

  private SentencePieceMerges() {}

  /**
   * @throws TokenizerException when the vocabulary has no scores
   */
  static List<String[]> of(GgufVocabulary vocabulary) {
    if (vocabulary.scores().length == 0) {
      throw new TokenizerException(
          "tokenizer.ggml.scores is missing, which a llama vocabulary needs");
    }
    Map<String, Integer> ids = new HashMap<>();
    for (int id = 0; id < vocabulary.tokens().size(); id++) {
      if (!vocabulary.isAdded(id)) {
        ids.put(vocabulary.tokens().get(id), id);
      }
    }
    List<Merge> merges = new ArrayList<>();
    for (int id = 0; id < vocabulary.tokens().size(); id++) {
      if (!vocabulary.isAdded(id)) {
        merges.addAll(cuts(vocabulary.tokens().get(id), vocabulary.scores()[id], ids));
      }
    }
    merges.sort(
        Comparator.comparingDouble(Merge::score)
            .thenComparingInt(merge -> length(merge.left()))
            .thenComparingInt(merge -> length(merge.right()))
            .reversed());
    return merges.stream().map(merge -> new String[] {merge.left(), merge.right()}).toList();
  }

  private static List<Merge> cuts(String token, float score, Map<String, Integer> ids) {
    List<Merge> cuts = new ArrayList<>();
    for (int end = 1; end < token.length(); end++) {
      Integer left = ids.get(token.substring(0, end));
      Integer right = left == null ? null : ids.get(token.substring(end));
      if (left != null && right != null) {
        cuts.add(new Merge(token.substring(0, end), token.substring(end), score, left, right));
      }
    }
    cuts.sort(Comparator.comparingInt(Merge::leftId).thenComparingInt(Merge::rightId));
    return cuts;
  }

  private static int length(String text) {
    return text.codePointCount(0, text.length());
  }
}
