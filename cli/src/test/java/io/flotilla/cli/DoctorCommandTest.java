package io.flotilla.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.flotilla.generation.MachineReport;
import io.flotilla.kernels.Finding;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.List;
import org.junit.jupiter.api.Test;
import picocli.CommandLine;

class DoctorCommandTest {
  private static final List<MachineReport> WITHOUT_DRIVER =
      List.of(
          new MachineReport("cpu", List.of(new Finding("cores", "2", true))),
          new MachineReport(
              "cuda",
              List.of(
                  new Finding("kernels", "built", true),
                  new Finding("driver", "not found; install it", false))));

  private final StringWriter out = new StringWriter();

  private int run(String... args) {
    CommandLine command = new CommandLine(new DoctorCommand(() -> WITHOUT_DRIVER));
    return command.setOut(new PrintWriter(out, true)).execute(args);
  }

  @Test
  void marksWhatIsMissing() {
    assertThat(run()).isZero();
    assertThat(out.toString().lines())
        .containsExactly(
            "--device cpu can be used",
            "  cores        2",
            "--device cuda cannot be used",
            "  kernels      built",
            "! driver       not found; install it");
  }

  @Test
  void exitsForTheDeviceThatWasAskedFor() {
    assertThat(run("--device", "cpu")).isZero();
    assertThat(run("--device", "cuda")).isEqualTo(1);
  }

  @Test
  void looksAtThisMachine() {
    MachineReport cpu = MachineReport.all().getFirst();
    assertThat(cpu.usable()).isTrue();
    assertThat(cpu.findings())
        .extracting(Finding::what)
        .containsExactly("cores", "operations", "memory");
  }
}
