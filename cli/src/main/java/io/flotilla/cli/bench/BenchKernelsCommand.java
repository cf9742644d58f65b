package io.flotilla.cli.bench;

import io.flotilla.generation.ThisMachine;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Measures the kernels of a device. */
@Command(
    name = "kernels",
    sortOptions = false,
    description = {
      "Time the kernels of a GPU that does nothing else, at the sizes of Qwen3-8B; mixtures of",
      "experts at those of Qwen3-30B-A3B.",
      ""
    })
final class BenchKernelsCommand implements Callable<Integer> {
  @Spec private CommandSpec spec = CommandSpec.create();

  @Parameters(
      paramLabel = "SECTION",
      description = "ceilings, linear, elementwise, decode, prefill, experts. Default: all.")
  private List<String> sections = new ArrayList<>();

  @Option(names = "--device", paramLabel = "KIND", description = "Default: ${DEFAULT-VALUE}.")
  private String device = "cuda";

  @Option(names = "--device-id", paramLabel = "N", description = "Default: ${DEFAULT-VALUE}.")
  private int ordinal;

  @Override
  public Integer call() {
    PrintWriter out = spec.commandLine().getOut();
    ThisMachine.timeKernels(
        device,
        ordinal,
        sections,
        line -> {
          out.println(line);
          out.flush();
        });
    return 0;
  }
}
