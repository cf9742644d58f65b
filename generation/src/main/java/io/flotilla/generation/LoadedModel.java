package io.flotilla.generation;

import io.flotilla.checkpoint.GenerationDefaults;
import io.flotilla.checkpoint.ModelConfig;
import io.flotilla.fleet.EngineStatus;
import io.flotilla.fleet.Router;
import io.flotilla.model.sampling.SamplingParameters;
import io.flotilla.tokenizer.ChatMessage;
import io.flotilla.tokenizer.ChatTemplate;
import io.flotilla.tokenizer.Tokenizer;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicLong;

/** A model whose replicas run. */
final class LoadedModel implements LanguageModel {
  private final String name;
  private final ModelConfig config;
  private final ModelText text;
  private final SamplingParameters sampling;
  private final int maxModelLength;
  private final long seed;
  private final Router router;
  private final OpenedParts parts;
  private final AtomicLong ids = new AtomicLong();
  private final AtomicLong seeds = new AtomicLong();

  /**
   * @param seed of all the requests that bring none
   * @param parts closed with the model, {@code router} and {@code text} among them
   */
  LoadedModel(
      String name,
      ModelSource source,
      ModelText text,
      int maxModelLength,
      long seed,
      Router router,
      OpenedParts parts) {
    this.name = name;
    this.config = source.config();
    this.text = text;
    this.sampling = sampling(source.config(), source.defaults());
    this.maxModelLength = maxModelLength;
    this.seed = seed;
    this.router = router;
    this.parts = parts;
  }

  private static SamplingParameters sampling(ModelConfig config, GenerationDefaults defaults) {
    Set<Integer> stopTokens = new LinkedHashSet<>(config.endOfSequence());
    stopTokens.addAll(defaults.endOfSequence());
    return new SamplingParameters(
        Objects.requireNonNullElse(defaults.temperature(), 1f),
        Objects.requireNonNullElse(defaults.topK(), 0),
        Objects.requireNonNullElse(defaults.topP(), 1f),
        Objects.requireNonNullElse(defaults.minP(), 0f),
        Objects.requireNonNullElse(defaults.repetitionPenalty(), 1f),
        0f,
        0f,
        Map.of(),
        0,
        0,
        0,
        List.copyOf(stopTokens),
        -1,
        -1);
  }

  @Override
  public String name() {
    return name;
  }

  @Override
  public ModelConfig config() {
    return config;
  }

  @Override
  public Tokenizer tokenizer() {
    return text.tokenizer();
  }

  @Override
  public ChatTemplate chatTemplate() {
    return text.chatTemplate();
  }

  @Override
  public int maxModelLength() {
    return maxModelLength;
  }

  @Override
  public SamplingParameters defaultSampling() {
    return new SamplingParameters(
        sampling.temperature(),
        sampling.topK(),
        sampling.topP(),
        sampling.minP(),
        sampling.repetitionPenalty(),
        sampling.presencePenalty(),
        sampling.frequencyPenalty(),
        sampling.logitBias(),
        nextSeed(),
        sampling.choice(),
        sampling.minTokens(),
        sampling.stopTokens(),
        sampling.logprobs(),
        sampling.promptLogprobs());
  }

  /**
   * Mixed, so that neighbouring numbers give unlike seeds; a bijection, so that none comes twice.
   */
  private long nextSeed() {
    return new SplittableRandom(seed + seeds.getAndIncrement()).nextLong();
  }

  @Override
  public int[] encodeChat(
      List<ChatMessage> messages, boolean addGenerationPrompt, Map<String, Object> variables) {
    return text.tokenizer()
        .encode(text.chatTemplate().render(messages, addGenerationPrompt, variables), false);
  }

  @Override
  public Generation generate(GenerationRequest request) {
    for (int id : request.prompt()) {
      if (id < 0 || id >= config.vocabularySize()) {
        throw new IllegalArgumentException(
            "the prompt has token id %d, outside the vocabulary of %d"
                .formatted(id, config.vocabularySize()));
      }
    }
    return RunningGeneration.start(ids.getAndIncrement(), request, text.tokenizer(), router);
  }

  @Override
  public List<EngineStatus> statuses() {
    return router.statuses();
  }

  @Override
  public void drain() {
    router.drain();
  }

  @Override
  public void close() {
    parts.close();
  }
}
