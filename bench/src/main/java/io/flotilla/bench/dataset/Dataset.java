package io.flotilla.bench.dataset;

import io.flotilla.tokenizer.Tokenizer;
import java.util.List;

/** A source of prompts. The same seed gives the same prompts. */
@FunctionalInterface
public interface Dataset {
  /**
   * @param tokenizer counts tokens, and makes text of random ones
   * @param count prompts wanted, at least one
   * @param seed of the choice
   * @return {@code count} prompts
   * @throws DatasetException when there are none to take
   */
  List<BenchmarkPrompt> sample(Tokenizer tokenizer, int count, long seed);
}
