package io.flotilla.bench;

import io.flotilla.bench.dataset.BenchmarkPrompt;
import io.flotilla.bench.report.ThroughputReport;
import io.flotilla.generation.Generation;
import io.flotilla.generation.GenerationEvent.Usage;
import io.flotilla.generation.GenerationRequest;
import io.flotilla.generation.LanguageModel;
import io.flotilla.model.sampling.SamplingParameters;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.LongConsumer;

/**
 * Gives a model in this process all prompts at once. Everything counts, from text to text, as in
 * {@code vllm bench throughput}; so do temperature 1 and an ignored end of sequence.
 */
public final class OfflineRun {
  private final LanguageModel model;
  private final long seed;
  private final float minP;

  /**
   * @param seed of the sampling, together with a prompt's index
   * @param minP drop what is less likely than this times the likeliest; 0 keeps all
   */
  public OfflineRun(LanguageModel model, long seed, float minP) {
    this.model = model;
    this.seed = seed;
    this.minP = minP;
  }

  /**
   * Generates from every prompt.
   *
   * @param progress hears how many are done, from any thread
   * @throws IllegalArgumentException when a prompt and its output are longer than the model takes
   * @throws io.flotilla.generation.GenerationException when the model fails
   */
  public ThroughputReport run(List<BenchmarkPrompt> prompts, LongConsumer progress)
      throws InterruptedException {
    prompts.forEach(this::requireFits);
    AtomicLong done = new AtomicLong();
    try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
      long start = System.nanoTime();
      List<Future<Usage>> usages = new ArrayList<>();
      for (int index = 0; index < prompts.size(); index++) {
        BenchmarkPrompt prompt = prompts.get(index);
        long ownSeed = seed + index;
        usages.add(
            threads.submit(
                () -> {
                  Usage usage = generate(prompt, ownSeed);
                  progress.accept(done.incrementAndGet());
                  return usage;
                }));
      }
      List<Usage> ended = await(threads, usages);
      return ThroughputReport.of(ended, System.nanoTime() - start);
    }
  }

  private void requireFits(BenchmarkPrompt prompt) {
    if (prompt.promptTokens() + prompt.outputTokens() > model.maxModelLength()) {
      throw new IllegalArgumentException(
          "a prompt of %d tokens and an output of %d are more than the %d that fit together; lower --input-len or --output-len, or raise --max-model-len"
              .formatted(prompt.promptTokens(), prompt.outputTokens(), model.maxModelLength()));
    }
  }

  private Usage generate(BenchmarkPrompt prompt, long ownSeed) throws InterruptedException {
    SamplingParameters sampling =
        new SamplingParameters(
            1f, 0, 1f, minP, 1f, 0f, 0f, Map.of(), ownSeed, 0, 0, List.of(), -1, -1);
    int[] ids = model.tokenizer().encode(prompt.prompt(), true);
    try (Generation generation =
        model.generate(GenerationRequest.of(ids, sampling, prompt.outputTokens()))) {
      return generation.forEachText(_ -> {}).usage();
    }
  }

  /** The first failure ends the rest. */
  private static List<Usage> await(ExecutorService threads, List<Future<Usage>> usages)
      throws InterruptedException {
    boolean complete = false;
    try {
      List<Usage> ended = new ArrayList<>();
      for (Future<Usage> usage : usages) {
        ended.add(usage.get());
      }
      complete = true;
      return ended;
    } catch (ExecutionException e) {
      throw e.getCause() instanceof RuntimeException cause
          ? cause
          : new IllegalStateException(e.getCause());
    } finally {
      if (!complete) {
        threads.shutdownNow();
      }
    }
  }
}
