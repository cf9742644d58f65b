package io.flotilla.bench;

import io.flotilla.bench.dataset.WordTokenizer;
import io.flotilla.checkpoint.ModelConfig;
import io.flotilla.engine.TokenEvent.FailureCode;
import io.flotilla.engine.TokenEvent.FinishReason;
import io.flotilla.fleet.EngineStatus;
import io.flotilla.generation.Generation;
import io.flotilla.generation.GenerationEvent;
import io.flotilla.generation.GenerationEvent.Ended;
import io.flotilla.generation.GenerationEvent.Failed;
import io.flotilla.generation.GenerationEvent.Usage;
import io.flotilla.generation.GenerationRequest;
import io.flotilla.generation.LanguageModel;
import io.flotilla.model.sampling.SamplingParameters;
import io.flotilla.tokenizer.ChatMessage;
import io.flotilla.tokenizer.ChatTemplate;
import io.flotilla.tokenizer.Tokenizer;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import org.jspecify.annotations.Nullable;

/** A model that always uses all the tokens it may, and says nothing. */
final class FakeModel implements LanguageModel {
  private final List<GenerationRequest> requests = new CopyOnWriteArrayList<>();
  private final Tokenizer tokenizer = new WordTokenizer();
  private final int maxModelLength;
  private @Nullable Failed failure;

  FakeModel(int maxModelLength) {
    this.maxModelLength = maxModelLength;
  }

  List<GenerationRequest> requests() {
    return requests;
  }

  void failWith(FailureCode code, String message) {
    failure = new Failed(code, message);
  }

  @Override
  public Generation generate(GenerationRequest request) {
    requests.add(request);
    GenerationEvent end =
        failure != null
            ? failure
            : new Ended(
                FinishReason.LENGTH,
                null,
                null,
                new Usage(request.prompt().length, 0, request.maxTokens()));
    return new Generation() {
      @Override
      public GenerationEvent next() {
        return end;
      }

      @Override
      public void close() {}
    };
  }

  @Override
  public String name() {
    return "fake";
  }

  @Override
  public ModelConfig config() {
    throw new UnsupportedOperationException();
  }

  @Override
  public Tokenizer tokenizer() {
    return tokenizer;
  }

  @Override
  public ChatTemplate chatTemplate() {
    return ChatTemplate.missing("fake");
  }

  @Override
  public int maxModelLength() {
    return maxModelLength;
  }

  @Override
  public SamplingParameters defaultSampling() {
    return SamplingParameters.greedy();
  }

  @Override
  public int[] encodeChat(
      List<ChatMessage> messages, boolean addGenerationPrompt, Map<String, Object> variables) {
    throw new UnsupportedOperationException();
  }

  @Override
  public List<EngineStatus> statuses() {
    return List.of();
  }

  @Override
  public void drain() {}

  @Override
  public void close() {}
}
