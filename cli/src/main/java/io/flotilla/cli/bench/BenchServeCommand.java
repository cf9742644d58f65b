package io.flotilla.cli.bench;

import io.flotilla.bench.Load;
import io.flotilla.bench.LoadGenerator;
import io.flotilla.bench.ServeTarget;
import io.flotilla.bench.client.Backend;
import io.flotilla.bench.client.OpenAiClient;
import io.flotilla.bench.client.ServerException;
import io.flotilla.bench.dataset.BenchmarkPrompt;
import io.flotilla.bench.report.ServeJson;
import io.flotilla.bench.report.ServeMetrics;
import io.flotilla.bench.report.ServeReport;
import io.flotilla.cli.option.ConfigFlag;
import io.flotilla.cli.option.UsageException;
import io.flotilla.cli.terminal.ProgressLine;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.UncheckedIOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDateTime;
import java.time.ZoneId;
import java.time.format.DateTimeFormatter;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/** Measures a server under load. */
@Command(
    name = "serve",
    sortOptions = false,
    description = {
      "Send requests to any OpenAI server and measure its answers.",
      "Options, figures, table and JSON are those of vllm bench serve.",
      ""
    },
    footer = {
      "",
      "Examples:",
      "  flotilla bench serve --num-prompts 100 --random-input-len 256 --max-concurrency 8",
      "  flotilla bench serve --max-concurrency 1,8,64 --num-prompts 200",
      "  flotilla bench serve --backend openai-chat --dataset-name custom \\",
      "      --dataset-path prompts.jsonl --request-rate 4 --goodput ttft:500 tpot:50"
    })
final class BenchServeCommand implements Callable<Integer> {
  @Spec private CommandSpec spec = CommandSpec.create();

  @Option(
      names = "--backend",
      paramLabel = "NAME",
      defaultValue = "openai",
      description = "openai (text completions) or openai-chat. Default: ${DEFAULT-VALUE}.")
  private String backend = "";

  @Option(
      names = "--base-url",
      paramLabel = "URL",
      defaultValue = "http://127.0.0.1:8000",
      description = "The server. Default: ${DEFAULT-VALUE}. Its key is taken from OPENAI_API_KEY.")
  private URI baseUrl = URI.create("http://127.0.0.1:8000");

  @Option(
      names = "--endpoint",
      paramLabel = "PATH",
      description = "Default: /v1/completions or /v1/chat/completions, by backend.")
  private @Nullable String endpoint;

  @Option(
      names = "--model",
      paramLabel = "NAME",
      description = "As the server names it. Default: the first of its /v1/models.")
  private @Nullable String model;

  @Option(
      names = "--tokenizer",
      paramLabel = "MODEL",
      description =
          "Folder, .gguf file or hub id whose tokenizer counts and makes prompts."
              + " Default: the model, where /v1/models says it has it from.")
  private @Nullable String tokenizer;

  @Mixin private final DatasetFlags dataset = new DatasetFlags();

  @Option(
      names = "--max-concurrency",
      paramLabel = "N",
      split = ",",
      description =
          "Requests under way at once. Several, such as 1,8,64, are run one after the other and"
              + " compared. Default: no bound.")
  private List<Integer> maxConcurrency = List.of(0);

  @Option(
      names = "--request-rate",
      paramLabel = "R",
      defaultValue = "inf",
      description = "Requests a second; inf sends all at once. Default: ${DEFAULT-VALUE}.")
  private String requestRate = "inf";

  @Option(
      names = "--burstiness",
      paramLabel = "B",
      defaultValue = "1.0",
      description =
          "Shape of the gamma distribution of intervals: 1 is a Poisson process, less is burstier."
              + " Default: ${DEFAULT-VALUE}.")
  private String burstiness = "1.0";

  @Option(
      names = "--num-warmups",
      paramLabel = "N",
      defaultValue = "0",
      description = "Requests sent before, not counted. Default: ${DEFAULT-VALUE}.")
  private int warmups;

  @Option(names = "--ignore-eos", description = "Generate every token that is asked for.")
  private boolean ignoreEos;

  @Option(
      names = "--temperature",
      paramLabel = "T",
      description = "Default: the server's own, as it is for its other clients.")
  private @Nullable Double temperature;

  @Option(
      names = "--seed",
      paramLabel = "N",
      defaultValue = "0",
      description = "Seed of prompts and arrivals. Default: ${DEFAULT-VALUE}.")
  private long seed;

  @Mixin private final ReportFlags report = new ReportFlags();

  @Mixin
  @SuppressWarnings("UnusedVariable") // It was read before this command.
  private final ConfigFlag config = new ConfigFlag();

  @Override
  public Integer call() throws ServerException, InterruptedException {
    Backend spoken = backend();
    List<Load> loads = maxConcurrency.stream().map(this::load).toList();
    report.goodput();
    try (OpenAiClient client = new OpenAiClient(baseUrl, key())) {
      OpenAiClient.Model asked =
          model == null ? client.firstModel() : new OpenAiClient.Model(model, model);
      ServeTarget target =
          new ServeTarget(
              spoken,
              endpoint == null ? spoken.endpoint() : endpoint,
              asked.id(),
              ignoreEos,
              temperature);
      try (PromptText text = PromptText.of(tokenizer == null ? asked.root() : tokenizer)) {
        List<BenchmarkPrompt> prompts =
            dataset
                .open(prompt -> spoken == Backend.OPENAI ? text.template(prompt) : prompt)
                .sample(text.tokenizer(), dataset.prompts(), seed);
        return measure(new LoadGenerator(client, target), target, loads, prompts, text);
      }
    }
  }

  private Backend backend() {
    return Arrays.stream(Backend.values())
        .filter(known -> known.toString().equals(backend))
        .findFirst()
        .orElseThrow(
            () ->
                new UsageException(
                    "--backend is " + backend + "; this version knows openai and openai-chat"));
  }

  private static @Nullable String key() {
    String key = System.getenv("OPENAI_API_KEY");
    return key == null || key.isBlank() ? null : key;
  }

  private Load load(int concurrency) {
    try {
      return new Load(number(requestRate), number(burstiness), concurrency, warmups, seed);
    } catch (NumberFormatException e) {
      throw new UsageException("--request-rate and --burstiness are numbers or inf");
    } catch (IllegalArgumentException e) {
      throw new UsageException(String.valueOf(e.getMessage()));
    }
  }

  private static double number(String text) {
    return text.equals("inf") ? Double.POSITIVE_INFINITY : Double.parseDouble(text);
  }

  private int measure(
      LoadGenerator generator,
      ServeTarget target,
      List<Load> loads,
      List<BenchmarkPrompt> prompts,
      PromptText text)
      throws ServerException, InterruptedException {
    generator.probe(prompts.getFirst());
    PrintWriter out = spec.commandLine().getOut();
    ConcurrencySweep sweep = new ConcurrencySweep();
    boolean anyCompleted = false;
    for (Load load : loads) {
      LoadGenerator.Run run;
      try (ProgressLine progress = ProgressLine.ofCount("Requests", prompts.size())) {
        run = generator.run(prompts, load, progress::at);
      }
      ServeMetrics metrics =
          ServeMetrics.of(
              run.outcomes(),
              run.durationNanos(),
              report.goodput(),
              answer -> text.tokenizer().encode(answer, false).length);
      out.print(
          ServeReport.of(
              metrics,
              report.metrics(),
              report.percentiles(),
              report.goodput(),
              load.maxConcurrency(),
              load.requestRate()));
      out.print(ServeReport.errors(run.outcomes()));
      out.flush();
      save(target, load, prompts.size(), run, metrics);
      sweep.add(load.maxConcurrency(), metrics);
      anyCompleted |= metrics.completed() > 0;
    }
    if (loads.size() > 1) {
      out.print(sweep.table());
      out.flush();
    }
    return anyCompleted ? 0 : 1;
  }

  private void save(
      ServeTarget target, Load load, int prompts, LoadGenerator.Run run, ServeMetrics metrics) {
    LocalDateTime now = LocalDateTime.now(ZoneId.systemDefault());
    String date = now.format(DateTimeFormatter.ofPattern("yyyyMMdd-HHmmss"));
    String concurrency = load.maxConcurrency() == 0 ? "" : "-concurrency" + load.maxConcurrency();
    String baseModel = target.model().replaceFirst(".*/", "");
    Path file =
        report.file(
            target.backend()
                + "-"
                + requestRate
                + "qps"
                + concurrency
                + "-"
                + baseModel
                + "-"
                + date
                + ".json");
    if (file == null) {
      return;
    }
    ObjectNode json = JsonMapper.shared().createObjectNode();
    json.put("date", date);
    json.put("backend", target.backend().toString());
    json.put("model_id", target.model());
    json.put("num_prompts", prompts);
    json.put("request_rate", requestRate);
    json.put("burstiness", load.burstiness());
    if (load.maxConcurrency() > 0) {
      json.put("max_concurrency", load.maxConcurrency());
    }
    json.setAll(ServeJson.of(metrics, run.outcomes(), report.percentiles(), report.goodput()));
    try {
      Files.write(file, JsonMapper.shared().writeValueAsBytes(json));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
