package io.flotilla.cli.bench;

import io.flotilla.bench.OfflineRun;
import io.flotilla.bench.dataset.BenchmarkPrompt;
import io.flotilla.bench.report.ThroughputReport;
import io.flotilla.cli.option.EngineFlags;
import io.flotilla.cli.option.UsageException;
import io.flotilla.cli.terminal.LoadBar;
import io.flotilla.cli.terminal.ProgressLine;
import io.flotilla.engine.EngineListener;
import io.flotilla.generation.EngineOptions;
import io.flotilla.generation.LanguageModel;
import io.flotilla.tokenizer.ChatMessage;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Measures the engine without a server. */
@Command(
    name = "throughput",
    sortOptions = false,
    description = {
      "Give a model all prompts at once, in this process, and measure its throughput.",
      "Options, figures and JSON are those of vllm bench throughput; the end of a text is ignored.",
      ""
    },
    footer = {
      "",
      "Examples:",
      "  flotilla bench throughput models/pocket --num-prompts 64 --input-len 128 --output-len 64",
      "  flotilla bench throughput --model Qwen/Qwen3-0.6B --max-num-seqs 16 \\",
      "      --dataset-name sharegpt --dataset-path ShareGPT_V3.json --num-prompts 100",
      "  flotilla bench throughput ./config-folder --load-format dummy -q q8_0"
    })
final class BenchThroughputCommand implements Callable<Integer> {
  @Spec private CommandSpec spec = CommandSpec.create();

  @Parameters(
      arity = "0..1",
      paramLabel = "MODEL",
      description = "A folder, a .gguf file or a hub id.")
  private @Nullable String model;

  @Option(names = "--model", paramLabel = "MODEL", description = "The same as a flag.")
  private @Nullable String modelFlag;

  @Mixin private final DatasetFlags dataset = new DatasetFlags();

  @Option(
      names = "--min-p",
      paramLabel = "P",
      description = "Drop what is less likely than P times the likeliest. Default: keep all.")
  private float minP;

  @Option(names = "--output-json", paramLabel = "FILE", description = "Write the figures as JSON.")
  private @Nullable Path json;

  @Mixin private final EngineFlags engine = new EngineFlags();

  @Override
  public Integer call() throws InterruptedException, IOException {
    EngineOptions options =
        engine.toOptions(modelName()).withMaxWaiting(Math.max(1, dataset.prompts()));
    ThroughputReport report;
    try (LanguageModel loaded = load(options)) {
      List<BenchmarkPrompt> prompts =
          dataset
              .open(prompt -> template(loaded, prompt))
              .sample(loaded.tokenizer(), dataset.prompts(), options.seed());
      try (ProgressLine progress = ProgressLine.ofCount("Requests", prompts.size())) {
        report = new OfflineRun(loaded, options.seed(), minP).run(prompts, progress::at);
      }
    }
    PrintWriter out = spec.commandLine().getOut();
    out.print(report.text());
    out.flush();
    if (json != null) {
      Files.write(json, report.json());
    }
    return 0;
  }

  private String modelName() {
    if ((model == null) == (modelFlag == null)) {
      throw new UsageException(
          "bench throughput needs one model: MODEL, a folder, a .gguf file or a hub id");
    }
    return model == null ? String.valueOf(modelFlag) : model;
  }

  private static LanguageModel load(EngineOptions options) {
    try (LoadBar bar = new LoadBar(options.model())) {
      return LanguageModel.load(options, EngineListener.NONE, bar);
    }
  }

  private static String template(LanguageModel model, String prompt) {
    return model.chatTemplate().render(List.of(new ChatMessage("user", prompt)), true, Map.of());
  }
}
