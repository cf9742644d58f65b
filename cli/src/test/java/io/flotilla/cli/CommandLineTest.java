package io.flotilla.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.flotilla.generation.ThisMachine;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.ArrayDeque;
import java.util.Deque;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import picocli.CommandLine;
import picocli.CommandLine.Model.OptionSpec;

class CommandLineTest {
  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();

  private int run(String... args) {
    CommandLine commands = FlotillaCommand.commands(new FlotillaCommand());
    commands.setOut(new PrintWriter(out, true)).setErr(new PrintWriter(err, true));
    return commands.execute(args);
  }

  @Test
  void everyCommandExplainsItselfAndEachOfItsFlags() {
    Deque<CommandLine> commands = new ArrayDeque<>();
    commands.add(FlotillaCommand.commands(new FlotillaCommand()));
    while (!commands.isEmpty()) {
      CommandLine command = commands.remove();
      commands.addAll(command.getSubcommands().values());
      String name = command.getCommandSpec().qualifiedName();
      assertThat(command.getUsageMessage()).as(name).contains("--help");
      assertThat(command.getCommandSpec().usageMessage().description()).as(name).isNotEmpty();
      assertThat(command.getCommandSpec().options())
          .as(name)
          .extracting(OptionSpec::description)
          .allSatisfy(description -> assertThat(description).isNotEmpty());
    }
  }

  @Test
  void saysItsVersion() {
    assertThat(run("version")).isZero();
    assertThat(out.toString()).startsWith("flotilla ").contains("Java 25");
  }

  @Test
  void doctorSaysWhatTheProcessorHas() {
    assertThat(run("doctor", "--device", "cpu")).isZero();
    assertThat(out.toString())
        .startsWith("--device cpu: usable")
        .containsPattern("CPU +\\d+ cores")
        .containsPattern("memory +\\d+\\.\\d GiB");
  }

  @Test
  void doctorFailsWhereADeviceCannotBeUsedAndSaysWhatToDo() {
    assumeTrue(ThisMachine.obstacle("cuda").isPresent(), "there is a GPU");
    assertThat(run("doctor", "--device", "cuda")).isOne();
    assertThat(out.toString()).startsWith("--device cuda: not usable").contains("-> ");
    assertThat(run("doctor")).as("the CPU is enough").isZero();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "bench serve --base-url http://127.0.0.1:9 | 1 | nothing answers at http://127.0.0.1:9",
        "chat --url http://127.0.0.1:9 | 1 | nothing answers at http://127.0.0.1:9",
        "complete hello --url http://127.0.0.1:9/v1 | 1 | nothing answers at http://127.0.0.1:9;",
        "doctor --device tpu | 1 | --device tpu is not part of this build",
        "bench kernels --device tpu | 1 | --device tpu is not part of this build",
        "bench serve --backend tgi | 2 | openai and openai-chat",
        "bench serve --request-rate 0 | 2 | --request-rate is 0.0",
        "bench serve --goodput ttft=5 | 2 | ttft=5",
        "bench serve --goodput itl:5 | 2 | not itl",
        "chat -tp two | 2 | two",
        "chat --swap-space=4 | 2 | preempted requests are computed again",
        "chat --trust-remote-code | 2 | no code of a model is ever run",
        "chat a-model --temperature -1 | 2 | --temperature is -1",
        "complete hello --model /none --max-tokens 0 | 2 | --max-tokens is 0",
        "chat /none/model | 1 | /none/model",
        "bench throughput | 2 | needs one model",
        "bench throughput /none/a --model /none/b | 2 | needs one model",
        "serve /none/model --port 0 | 1 | /none/model",
        "serve --port 0 | 2 | there is no bundled model here",
        "serve /none/model --host 300.1.1.1 | 2 | --host is 300.1.1.1",
        "serve /none/model --shutdown-timeout -1 | 2 | --shutdown-timeout is -1",
        "serve /none/model -pp 3 --nnodes 2 | 2 | --nnodes 2 does not divide the 3 stages",
        "serve /none/model -pp 2 --nnodes 2 --node-rank 2 | 2 | from 0 to 1",
        "serve /none/model -pp 2 --nnodes 2 --master-port 0 | 2 | --master-port is 0",
        "serve /none/model --nnodes 0 | 2 | --nnodes is 0",
        "serve /none/model -dp 2 --port 0 | 2 | --data-parallel-size is 2",
        "doctor --device tpu | 1 | --device tpu is not part of this build",
        "swim | 2 | swim",
      })
  void failsInOneLine(String line, int code, String message) {
    assertThat(run(line.split(" "))).isEqualTo(code);
    assertThat(err.toString()).startsWith("flotilla: ").contains(message);
    assertThat(err.toString().lines()).hasSize(1);
  }

  @Test
  void showsTheStackTraceWhenAsked() {
    assertThat(run("chat", "--url", "http://127.0.0.1:9", "--verbose")).isEqualTo(1);
    assertThat(err.toString()).contains("ServerException").contains("\tat ");
  }
}
