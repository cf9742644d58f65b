package io.flotilla.bench.dataset;

import io.flotilla.tokenizer.Tokenizer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;

/**
 * Prompts of independent random tokens: nothing to learn from, no prefix to share. (vLLM's follow
 * one another in the vocabulary, so that a small one repeats whole prompts.)
 *
 * @param inputLength tokens of a prompt
 * @param outputLength tokens to ask for
 * @param rangeRatio lengths are uniform in {@code length * (1 - ratio) .. length * (1 + ratio)}; at
 *     least 0, below 1
 */
public record RandomDataset(int inputLength, int outputLength, double rangeRatio)
    implements Dataset {
  private static final int ATTEMPTS = 10;

  public RandomDataset {
    if (!(rangeRatio >= 0 && rangeRatio < 1)) {
      throw new DatasetException(
          "--random-range-ratio is " + rangeRatio + "; it must be at least 0 and below 1");
    }
    if (inputLength < 1 || outputLength < 1) {
      throw new DatasetException("random prompts and outputs have at least one token each");
    }
  }

  @Override
  public List<BenchmarkPrompt> sample(Tokenizer tokenizer, int count, long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    int[] allowed =
        IntStream.range(0, tokenizer.vocabularySize())
            .filter(id -> tokenizer.token(id) != null && !tokenizer.isSpecial(id))
            .toArray();
    List<BenchmarkPrompt> prompts = new ArrayList<>();
    for (int index = 0; index < count; index++) {
      int input = length(random, inputLength);
      int output = length(random, outputLength);
      int[] ids = random.ints(input, 0, allowed.length).map(i -> allowed[i]).toArray();
      prompts.add(prompt(tokenizer, random, allowed, ids, output));
    }
    return prompts;
  }

  private int length(SplittableRandom random, int mean) {
    int low = Math.max(1, (int) Math.floor(mean * (1 - rangeRatio)));
    int high = Math.max(1, (int) Math.ceil(mean * (1 + rangeRatio)));
    return random.nextInt(low, high + 1);
  }

  /** Text that has as many tokens as wanted, where the tokenizer lets one find it. */
  private static BenchmarkPrompt prompt(
      Tokenizer tokenizer, SplittableRandom random, int[] allowed, int[] wanted, int output) {
    int[] ids = wanted;
    String text = "";
    int tokens = 0;
    for (int attempt = 0; attempt < ATTEMPTS && tokens != wanted.length; attempt++) {
      text = tokenizer.decode(ids, false);
      int[] again = tokenizer.encode(text, false);
      tokens = again.length;
      ids = Arrays.copyOf(again, wanted.length);
      for (int i = again.length; i < ids.length; i++) {
        ids[i] = allowed[random.nextInt(allowed.length)];
      }
    }
    return new BenchmarkPrompt(text, tokens, output);
  }
}
