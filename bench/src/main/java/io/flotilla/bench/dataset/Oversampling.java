package io.flotilla.bench.dataset;

import java.nio.file.Path;
import java.util.List;

/** Repeats a dataset that is shorter than the benchmark. */
final class Oversampling {
  private Oversampling() {}

  /** Appends what is there until there are {@code count}. */
  static List<BenchmarkPrompt> fill(List<BenchmarkPrompt> prompts, int count, Path path) {
    if (prompts.isEmpty()) {
      throw new DatasetException(path + " holds no prompt that can be sent");
    }
    int available = prompts.size();
    for (int i = 0; prompts.size() < count; i++) {
      prompts.add(prompts.get(i % available));
    }
    return prompts;
  }
}
