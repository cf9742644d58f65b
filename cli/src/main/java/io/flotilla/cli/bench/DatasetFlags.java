package io.flotilla.cli.bench;

import io.flotilla.bench.dataset.CustomDataset;
import io.flotilla.bench.dataset.Dataset;
import io.flotilla.bench.dataset.RandomDataset;
import io.flotilla.bench.dataset.ShareGptDataset;
import io.flotilla.cli.option.UsageException;
import java.nio.file.Path;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** Which prompts are sent, the same for every benchmark. */
final class DatasetFlags {
  private static final int CUSTOM_OUTPUT = 256;

  @Option(
      names = "--dataset-name",
      paramLabel = "NAME",
      defaultValue = "random",
      description = "random, sharegpt or custom (JSONL with a prompt). Default: ${DEFAULT-VALUE}.")
  private String name = "random";

  @Option(
      names = "--dataset-path",
      paramLabel = "FILE",
      description = "The file of sharegpt and custom.")
  private @Nullable Path path;

  @Option(
      names = "--num-prompts",
      paramLabel = "N",
      defaultValue = "1000",
      description = "Prompts to send. Default: ${DEFAULT-VALUE}.")
  private int prompts = 1000;

  @Option(
      names = {"--random-input-len", "--input-len"},
      paramLabel = "N",
      defaultValue = "1024",
      description = "Tokens of a random prompt. Default: ${DEFAULT-VALUE}.")
  private int randomInput = 1024;

  @Option(
      names = {"--random-output-len"},
      paramLabel = "N",
      defaultValue = "128",
      description = "Tokens to ask for after a random prompt. Default: ${DEFAULT-VALUE}.")
  private int randomOutput = 128;

  @Option(
      names = "--random-range-ratio",
      paramLabel = "R",
      defaultValue = "0",
      description = "Random lengths vary by this share to either side. Default: ${DEFAULT-VALUE}.")
  private double randomRange;

  @Option(
      names = {"--output-len", "--custom-output-len", "--sharegpt-output-len"},
      paramLabel = "N",
      description =
          "Tokens to ask for, whatever the dataset. Default: 256 for custom, what the dataset says"
              + " for sharegpt.")
  private int output;

  @Option(
      names = "--skip-chat-template",
      description = "Send custom prompts to text completions as they are.")
  private boolean skipTemplate;

  int prompts() {
    if (prompts < 1) {
      throw new UsageException("--num-prompts is " + prompts + "; it must be at least 1");
    }
    return prompts;
  }

  boolean skipTemplate() {
    return skipTemplate;
  }

  /**
   * @param template applied to custom prompts unless it is to be skipped
   */
  Dataset open(UnaryOperator<String> template) {
    return switch (name) {
      case "random" ->
          new RandomDataset(randomInput, output > 0 ? output : randomOutput, randomRange);
      case "sharegpt" -> new ShareGptDataset(file(), output);
      case "custom" ->
          new CustomDataset(
              file(),
              output > 0 ? output : CUSTOM_OUTPUT,
              skipTemplate ? UnaryOperator.identity() : template);
      default ->
          throw new UsageException(
              "--dataset-name is " + name + "; this version knows random, sharegpt and custom");
    };
  }

  private Path file() {
    if (path == null) {
      throw new UsageException("--dataset-name " + name + " needs --dataset-path");
    }
    return path;
  }
}
