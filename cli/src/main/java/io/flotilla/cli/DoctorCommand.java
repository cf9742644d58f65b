package io.flotilla.cli;

import io.flotilla.generation.ThisMachine;
import io.flotilla.kernels.Finding;
import java.io.PrintWriter;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Says what a machine has and what it lacks. */
@Command(
    name = "doctor",
    description = {
      "Show what this machine has of all that its devices need, and what to do about the rest.",
      "Exits with 0 when the device can be used, with 1 when not.",
      ""
    })
final class DoctorCommand implements Callable<Integer> {
  @Spec private CommandSpec spec = CommandSpec.create();

  @Option(
      names = "--device",
      paramLabel = "KIND",
      description = "Only this kind: cpu or cuda. Default: all; one that can be used is enough.")
  private @Nullable String device;

  @Override
  public Integer call() {
    boolean usable = false;
    for (String kind : device == null ? ThisMachine.kinds() : List.of(device)) {
      usable |= report(kind);
    }
    return usable ? 0 : 1;
  }

  private boolean report(String kind) {
    PrintWriter out = spec.commandLine().getOut();
    List<Finding> findings = ThisMachine.examine(kind);
    Optional<String> obstacle = ThisMachine.obstacle(kind);
    out.println("--device " + kind + (obstacle.isEmpty() ? ": usable" : ": not usable"));
    for (Finding finding : findings) {
      out.printf("  %-20s %s%n", finding.what(), finding.found());
      if (finding.remedy() != null) {
        out.printf("  %-20s -> %s%n", "", finding.remedy());
      }
    }
    return obstacle.isEmpty();
  }
}
