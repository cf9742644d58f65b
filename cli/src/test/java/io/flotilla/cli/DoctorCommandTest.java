package io.flotilla.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.flotilla.generation.ThisMachine;
import java.io.PrintWriter;
import java.io.StringWriter;
import org.junit.jupiter.api.Test;
import picocli.CommandLine;

class DoctorCommandTest {
  private final StringWriter out = new StringWriter();

  private int run(String... args) {
    CommandLine command = new CommandLine(new DoctorCommand());
    return command.setOut(new PrintWriter(out, true)).execute(args);
  }

  @Test
  void listsWhatEveryKindOfDeviceNeeds() {
    assertThat(run()).isZero();
    assertThat(out.toString())
        .contains("--device cpu: usable", "--device cuda: ", "memory", "cuBLASLt", "driver");
  }

  @Test
  void exitsForTheDeviceThatWasAskedFor() {
    assertThat(run("--device", "cpu")).isZero();
    assertThat(out.toString()).doesNotContain("cuda");
    boolean usable = ThisMachine.obstacle("cuda").isEmpty();
    assertThat(run("--device", "cuda")).isEqualTo(usable ? 0 : 1);
    assertThat(out.toString()).contains("--device cuda: " + (usable ? "usable" : "not usable"));
  }
}
