package io.flotilla.cli.bench;

import io.flotilla.bench.report.Goodput;
import io.flotilla.bench.report.Metric;
import io.flotilla.cli.option.UsageException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** What a load test prints and saves. */
final class ReportFlags {
  @Option(
      names = "--percentile-metrics",
      paramLabel = "NAMES",
      split = ",",
      defaultValue = "ttft,tpot,itl",
      description = "Latencies to print: of ttft, tpot, itl, e2el. Default: ${DEFAULT-VALUE}.")
  private List<String> metrics = List.of();

  @Option(
      names = "--metric-percentiles",
      paramLabel = "P",
      split = ",",
      defaultValue = "99",
      description = "Percentiles of each, such as 90,99,99.9. Default: ${DEFAULT-VALUE}.")
  private List<Double> percentiles = List.of();

  @Option(
      names = "--goodput",
      paramLabel = "NAME:MS",
      arity = "1..*",
      description =
          "Count requests that keep every limit in milliseconds, such as ttft:500 tpot:50;"
              + " of ttft, tpot, e2el.")
  private List<String> goodput = List.of();

  @Option(names = "--save-result", description = "Write the figures and every latency as JSON.")
  private boolean save;

  @Option(
      names = "--result-dir",
      paramLabel = "FOLDER",
      description = "Where --save-result writes. Default: this folder.")
  private @Nullable Path folder;

  @Option(
      names = "--result-filename",
      paramLabel = "FILE",
      description = "Its name. Default: made of backend, rate, concurrency, model and time.")
  private @Nullable String fileName;

  Set<Metric> metrics() {
    return metrics.stream()
        .map(name -> metric("--percentile-metrics", name))
        .collect(Collectors.toCollection(LinkedHashSet::new));
  }

  List<Double> percentiles() {
    for (double percent : percentiles) {
      if (!(percent >= 0 && percent <= 100)) {
        throw new UsageException("--metric-percentiles has " + percent + ", outside 0 to 100");
      }
    }
    return percentiles;
  }

  Goodput goodput() {
    EnumMap<Metric, Double> limits = new EnumMap<>(Metric.class);
    for (String limit : goodput) {
      String[] parts = limit.split(":", 2);
      try {
        limits.put(metric("--goodput", parts[0]), Double.valueOf(parts[parts.length - 1]));
      } catch (NumberFormatException e) {
        throw new UsageException(
            "--goodput " + limit + " is no NAME:MILLISECONDS, such as ttft:500");
      }
    }
    try {
      return new Goodput(Map.copyOf(limits));
    } catch (IllegalArgumentException e) {
      throw new UsageException("--goodput: " + e.getMessage());
    }
  }

  private static Metric metric(String flag, String name) {
    return Arrays.stream(Metric.values())
        .filter(metric -> metric.key().equals(name))
        .findFirst()
        .orElseThrow(
            () ->
                new UsageException(
                    flag + " has '" + name + "'; the latencies are ttft, tpot, itl and e2el"));
  }

  /**
   * The file to write, or null when nothing is to be saved.
   *
   * @param defaultName where none was given
   */
  @Nullable Path file(String defaultName) {
    if (!save) {
      return null;
    }
    String name = fileName == null ? defaultName : fileName;
    return folder == null ? Path.of(name) : folder.resolve(name);
  }
}
