package io.flotilla.executor;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * What Hugging Face transformers computes of a prompt in float32; see {@code make_goldens.py}.
 *
 * @param promptLogprobs of each token of the prompt but the first
 * @param logits at the prompt's last position, of some ids
 * @param greedy the likeliest continuation
 * @param gaps between the two best logits at each token of {@code greedy}
 */
record Golden(
    int[] prompt,
    double[] promptLogprobs,
    Map<Integer, Double> logits,
    int[] greedy,
    double[] gaps) {
  private static final List<String> FIELDS =
      List.of("prompt", "promptLogprobs", "logits", "greedy", "gaps");

  /** The goldens of a model, one a prompt. */
  static List<Golden> read(String model) {
    List<String> lines;
    try (InputStream stream = Golden.class.getResourceAsStream(model + ".txt")) {
      byte[] bytes = Objects.requireNonNull(stream, model).readAllBytes();
      lines = new String(bytes, StandardCharsets.UTF_8).lines().toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    List<Golden> goldens = new ArrayList<>();
    for (int from = 0; from < lines.size(); from += FIELDS.size()) {
      goldens.add(parse(lines.subList(from, from + FIELDS.size())));
    }
    return goldens;
  }

  private static Golden parse(List<String> lines) {
    List<String[]> values = new ArrayList<>();
    for (int i = 0; i < FIELDS.size(); i++) {
      String[] words = lines.get(i).split(" ", -1);
      if (!words[0].equals(FIELDS.get(i))) {
        throw new IllegalArgumentException("expected " + FIELDS.get(i) + ", found " + words[0]);
      }
      values.add(Arrays.copyOfRange(words, 1, words.length));
    }
    Map<Integer, Double> logits = new LinkedHashMap<>();
    for (String pair : values.get(2)) {
      int colon = pair.indexOf(':');
      logits.put(
          Integer.valueOf(pair.substring(0, colon)), Double.valueOf(pair.substring(colon + 1)));
    }
    return new Golden(
        integers(values.get(0)),
        decimals(values.get(1)),
        logits,
        integers(values.get(3)),
        decimals(values.get(4)));
  }

  private static int[] integers(String[] words) {
    return Arrays.stream(words).mapToInt(Integer::parseInt).toArray();
  }

  private static double[] decimals(String[] words) {
    return Arrays.stream(words).mapToDouble(Double::parseDouble).toArray();
  }

  /** Tokens of {@code greedy} before the first whose choice rounding could turn. */
  int certainTokens(double leastGap) {
    for (int i = 0; i < gaps.length; i++) {
      if (gaps[i] < leastGap) {
        return i;
      }
    }
    return gaps.length;
  }
}
