package io.flotilla.cli;

import io.flotilla.cli.option.UsageException;
import io.flotilla.generation.MachineReport;
import io.flotilla.kernels.Finding;
import java.io.PrintWriter;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.function.Supplier;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Says what this machine has. */
@Command(
    name = "doctor",
    description = {
      "Show what this machine has for each device, and what to do about what is missing.",
      "Exits with 0 when the device asked for can be used, with 1 when not."
    })
final class DoctorCommand implements Callable<Integer> {
  @Option(
      names = "--device",
      paramLabel = "DEVICE",
      description = "cpu, cuda, or auto (the default), which some device always does for.")
  private String device = "auto";

  @Spec private CommandSpec spec = CommandSpec.create();

  private final Supplier<List<MachineReport>> examination;

  DoctorCommand() {
    this(MachineReport::all);
  }

  DoctorCommand(Supplier<List<MachineReport>> examination) {
    this.examination = examination;
  }

  @Override
  public Integer call() {
    List<MachineReport> reports = examination.get();
    boolean known = reports.stream().anyMatch(report -> report.device().equals(device));
    if (!known && !device.equals("auto")) {
      throw new UsageException(
          "--device "
              + device
              + " is not part of this build: it has "
              + String.join(", ", reports.stream().map(MachineReport::device).toList()));
    }
    PrintWriter out = spec.commandLine().getOut();
    reports.forEach(report -> print(out, report));
    return isWantedUsable(reports) ? 0 : 1;
  }

  private boolean isWantedUsable(List<MachineReport> reports) {
    return reports.stream()
        .filter(report -> device.equals("auto") || report.device().equals(device))
        .anyMatch(MachineReport::usable);
  }

  private static void print(PrintWriter out, MachineReport report) {
    String verdict = report.usable() ? "can be used" : "cannot be used";
    out.printf("--device %s %s%n", report.device(), verdict);
    for (Finding finding : report.findings()) {
      String sign = finding.serves() ? " " : "!";
      out.printf("%s %-12s %s%n", sign, finding.what(), finding.found());
    }
  }
}
