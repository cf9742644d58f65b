package io.flotilla.generation;

import io.flotilla.checkpoint.ModelConfig;
import io.flotilla.engine.EngineListener;
import io.flotilla.fleet.EngineStatus;
import io.flotilla.model.sampling.SamplingParameters;
import io.flotilla.tokenizer.ChatMessage;
import io.flotilla.tokenizer.ChatTemplate;
import io.flotilla.tokenizer.Tokenizer;
import java.util.List;
import java.util.Map;

/** A loaded model: text in, text out. Thread-safe. */
public interface LanguageModel extends AutoCloseable {
  /** What {@code --model} named. */
  String name();

  ModelConfig config();

  Tokenizer tokenizer();

  ChatTemplate chatTemplate();

  /** Tokens of prompt and output together, at most. */
  int maxModelLength();

  /**
   * The model's own recommended sampling, its end-of-sequence ids as stop tokens, no penalties
   * besides, and a seed nobody else has.
   */
  SamplingParameters defaultSampling();

  /** The ids of a rendered conversation; special tokens are the template's own. */
  int[] encodeChat(
      List<ChatMessage> messages, boolean addGenerationPrompt, Map<String, Object> variables);

  /** Starts a choice. Refusals arrive as its {@link GenerationEvent.Failed}. */
  Generation generate(GenerationRequest request);

  /** Every replica as it is now. */
  List<EngineStatus> statuses();

  /** Takes no more requests; returns at once. */
  void drain();

  @Override
  void close();

  /** Loads a model as the options say, telling {@code listener} of its engine. */
  @SuppressWarnings("DoNotCallSuggester") // Not written yet.
  static LanguageModel load(EngineOptions options, EngineListener listener) {
    throw new UnsupportedOperationException(options + " " + listener);
  }
}
