package io.flotilla.server;

import io.flotilla.checkpoint.ModelConfig;
import io.flotilla.checkpoint.RopeScaling;
import io.flotilla.engine.EngineStatistics;
import io.flotilla.fleet.EngineStatus;
import io.flotilla.generation.GenerationRequest;
import io.flotilla.generation.LanguageModel;
import io.flotilla.model.sampling.SamplingParameters;
import io.flotilla.tokenizer.ChatMessage;
import io.flotilla.tokenizer.ChatTemplate;
import io.flotilla.tokenizer.Tokenizer;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * A model whose choices a test speaks. Its context is 64 tokens, its vocabulary {@link
 * LetterTokenizer}'s padded to 130, and its template writes {@code <role>content} for every turn.
 */
public final class FakeModel implements LanguageModel {
  public static final int CONTEXT = 64;
  public static final int VOCABULARY = 130;

  private final Tokenizer tokenizer = new LetterTokenizer();
  private final BlockingQueue<FakeGeneration> started = new LinkedBlockingQueue<>();
  private final AtomicLong seeds = new AtomicLong(1000);
  private volatile Consumer<FakeGeneration> script = _ -> {};
  private volatile EngineStatus status = status(null, false);
  private volatile boolean drained;

  /** Serves, and says nothing by itself. */
  public FakeModel() {}

  /** What every choice does by itself. */
  public FakeModel script(Consumer<FakeGeneration> what) {
    script = what;
    return this;
  }

  /** The next choice that was started and not asked for yet. */
  public FakeGeneration started() throws InterruptedException {
    FakeGeneration generation = started.poll(10, TimeUnit.SECONDS);
    if (generation == null) {
      throw new AssertionError("no choice was started");
    }
    return generation;
  }

  public boolean hasStarted() {
    return !started.isEmpty();
  }

  public void fail(Throwable failure) {
    status = status(failure, false);
  }

  public boolean isDrained() {
    return drained;
  }

  private static EngineStatus status(@Nullable Throwable failure, boolean drained) {
    return new EngineStatus(
        failure, drained, new EngineStatistics(3, 2, 0.25, 40, 30, 5, 60, 70, 8, List.of(), 0), 0);
  }

  @Override
  public String name() {
    return "fake";
  }

  @Override
  public ModelConfig config() {
    return new ModelConfig(
        "FakeForCausalLM",
        8,
        16,
        1,
        2,
        1,
        4,
        VOCABULARY,
        CONTEXT,
        1e-5f,
        10_000,
        new RopeScaling.None(),
        false,
        true,
        false,
        false,
        List.of(LetterTokenizer.END));
  }

  @Override
  public Tokenizer tokenizer() {
    return tokenizer;
  }

  @Override
  public ChatTemplate chatTemplate() {
    return (messages, addGenerationPrompt, variables) -> {
      StringBuilder text = new StringBuilder();
      for (ChatMessage message : messages) {
        if (message.content().equals("refuse me")) {
          throw new IllegalArgumentException("the template refuses this");
        }
        if (message.content().equals("vanish")) {
          return "";
        }
        text.append('<').append(message.role()).append('>').append(message.content());
      }
      variables.forEach((name, value) -> text.append('{').append(name).append(value).append('}'));
      return text.append(addGenerationPrompt ? "<assistant>" : "").toString();
    };
  }

  @Override
  public int maxModelLength() {
    return CONTEXT;
  }

  @Override
  public SamplingParameters defaultSampling() {
    return new SamplingParameters(
        0.5f,
        40,
        0.9f,
        0.05f,
        1.1f,
        0f,
        0f,
        Map.of(),
        seeds.getAndIncrement(),
        0,
        0,
        List.of(LetterTokenizer.END),
        -1,
        -1);
  }

  @Override
  public int[] encodeChat(
      List<ChatMessage> messages, boolean addGenerationPrompt, Map<String, Object> variables) {
    return tokenizer.encode(chatTemplate().render(messages, addGenerationPrompt, variables), false);
  }

  @Override
  public FakeGeneration generate(GenerationRequest request) {
    FakeGeneration generation = new FakeGeneration(request);
    script.accept(generation);
    started.add(generation);
    return generation;
  }

  @Override
  public List<EngineStatus> statuses() {
    return List.of(status);
  }

  @Override
  public void drain() {
    drained = true;
  }

  @Override
  public void close() {}
}
