package io.flotilla.cli.chat;

import io.flotilla.cli.option.EngineFlags;
import io.flotilla.cli.terminal.LoadBar;
import io.flotilla.cli.terminal.LogFormat;
import io.flotilla.engine.EngineListener;
import io.flotilla.generation.Generation;
import io.flotilla.generation.GenerationRequest;
import io.flotilla.generation.LanguageModel;
import io.flotilla.tokenizer.ChatMessage;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;

/** A model in this process, which gives one answer at a time. */
final class LocalModel implements TextModel {
  /** What OpenAI's text completions generate when nobody says. */
  private static final int COMPLETION_TOKENS = 16;

  private final LanguageModel model;
  private final SamplingFlags sampling;

  private LocalModel(LanguageModel model, SamplingFlags sampling) {
    this.model = model;
    this.sampling = sampling;
  }

  static LocalModel load(String model, EngineFlags engine, SamplingFlags sampling) {
    sampling.refuseNonsense();
    LogFormat.leaveOutInformation();
    try (LoadBar bar = new LoadBar(model)) {
      return new LocalModel(
          LanguageModel.load(engine.toOptions(model, 1), EngineListener.NONE, bar), sampling);
    }
  }

  @Override
  public String name() {
    return model.name();
  }

  @Override
  public void chat(List<ChatMessage> turns, Consumer<String> text) throws InterruptedException {
    generate(model.encodeChat(turns, true, Map.of()), model.maxModelLength(), text);
  }

  @Override
  public void complete(String prompt, Consumer<String> text) throws InterruptedException {
    generate(model.tokenizer().encode(prompt, true), COMPLETION_TOKENS, text);
  }

  private void generate(int[] prompt, int maxTokens, Consumer<String> text)
      throws InterruptedException {
    GenerationRequest request =
        GenerationRequest.of(
            prompt, sampling.over(model.defaultSampling()), sampling.maxTokens(maxTokens));
    try (Generation generation = model.generate(request)) {
      generation.forEachText(text);
    }
  }

  @Override
  public void close() {
    model.close();
  }
}
