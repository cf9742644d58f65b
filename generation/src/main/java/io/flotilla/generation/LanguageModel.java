package io.flotilla.generation;

import io.flotilla.checkpoint.ModelConfig;
import io.flotilla.engine.EngineListener;
import io.flotilla.fleet.EngineStatus;
import io.flotilla.fleet.remote.ReplicaHost;
import io.flotilla.model.sampling.SamplingParameters;
import io.flotilla.tokenizer.ChatMessage;
import io.flotilla.tokenizer.ChatTemplate;
import io.flotilla.tokenizer.Tokenizer;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.function.Function;

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

  /**
   * Starts a choice. Refusals arrive as its {@link GenerationEvent.Failed}.
   *
   * @throws IllegalArgumentException when a token id of the request is not of the vocabulary
   */
  Generation generate(GenerationRequest request);

  /** Every replica as it is now. */
  List<EngineStatus> statuses();

  /** Takes no more requests; returns at once. */
  void drain();

  /** Ends what still runs and frees everything. */
  @Override
  void close();

  /**
   * Continues a text as it stands, and waits for the whole continuation.
   *
   * @param maxTokens tokens to generate at most
   * @throws GenerationException when the model cannot serve it
   */
  default String complete(String prompt, int maxTokens) throws InterruptedException {
    StringBuilder text = new StringBuilder();
    generate(tokenizer().encode(prompt, true), maxTokens, text::append);
    return text.toString();
  }

  /**
   * Answers a message, and waits for the whole answer.
   *
   * @throws GenerationException when the model cannot serve it
   */
  default String chat(String message) throws InterruptedException {
    return chat(List.of(new ChatMessage("user", message)));
  }

  /**
   * Answers the last turn of a conversation, and waits for the whole answer.
   *
   * @throws IllegalArgumentException when the chat template refuses the conversation
   * @throws GenerationException when the model cannot serve it
   */
  default String chat(List<ChatMessage> messages) throws InterruptedException {
    StringBuilder text = new StringBuilder();
    chat(messages, text::append);
    return text.toString();
  }

  /**
   * Answers the last turn of a conversation piece by piece; otherwise as {@link #chat(List)}.
   *
   * @param text hears each piece on the calling thread
   */
  default void chat(List<ChatMessage> messages, Consumer<String> text) throws InterruptedException {
    generate(encodeChat(messages, true, Map.of()), maxModelLength(), text);
  }

  private void generate(int[] prompt, int maxTokens, Consumer<String> text)
      throws InterruptedException {
    GenerationRequest request = GenerationRequest.of(prompt, defaultSampling(), maxTokens);
    try (Generation generation = generate(request)) {
      generation.forEachText(text);
    }
  }

  /** Loads a folder, a {@code .gguf} file or a Hugging Face id with the default options. */
  static LanguageModel load(String model) {
    return load(EngineOptions.of(model), EngineListener.NONE);
  }

  /** Loads a model as the options say, telling {@code listener} of its engine. */
  static LanguageModel load(EngineOptions options, EngineListener listener) {
    return load(options, listener, LoadListener.NONE);
  }

  /**
   * Loads a model as the options say. Interrupting the thread cancels a download.
   *
   * @param listener is told of the model's engine
   * @param progress is told how far the loading is, on this thread or one that loads
   * @throws IllegalArgumentException naming the option that cannot be honoured
   * @throws io.flotilla.checkpoint.CheckpointException when the model cannot be had or served
   * @throws io.flotilla.tokenizer.TokenizerException when its tokenizer cannot be used
   */
  static LanguageModel load(EngineOptions options, EngineListener listener, LoadListener progress) {
    return new ModelLoader(options, progress).load(listener);
  }

  /**
   * Loads a model as {@link #load(EngineOptions, EngineListener, LoadListener)} does, but its
   * replica, weights and device and all, into a process of its own, which is started again whenever
   * it ends.
   *
   * @param command the process's command line, which ends up in {@link #hostReplica}, for a model
   *     at a path
   * @throws io.flotilla.fleet.remote.ReplicaLostException with the cause, when the process cannot
   *     start
   */
  static LanguageModel loadApart(
      EngineOptions options,
      EngineListener listener,
      LoadListener progress,
      Function<Path, List<String>> command) {
    return new ModelLoader(options, progress).loadApart(listener, command);
  }

  /**
   * Runs a replica for the process that has started this one with {@link #loadApart}.
   *
   * @param host the connection to it
   * @return whether the replica ended because it was told to, and did not fail
   */
  static boolean hostReplica(ReplicaHost host, EngineOptions options) throws InterruptedException {
    return host.run(
        (listener, progress) ->
            new ModelLoader(options, LoadListener.ofWeights(progress)).loadReplica(listener));
  }
}
