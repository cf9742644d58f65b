package io.flotilla.cli.archive;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.regex.MatchResult;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;

/** Runs the commands of the README against the archive, at another port. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class ReadmeTest {
  private static final Pattern COMMANDS = Pattern.compile("```sh\n(.*?)```", Pattern.DOTALL);
  private static final Pattern ADDRESS = Pattern.compile("Serving \\S+ at (http://\\S+)/v1");

  private final List<String> commands = commands();
  private Archive archive = new Archive(Path.of(""));
  private String address = "";
  private Process server;

  private static List<String> commands() {
    try {
      String readme = Files.readString(Archive.root().resolve("README.md"));
      return COMMANDS.matcher(readme).results().map(ReadmeTest::command).toList();
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  private static String command(MatchResult block) {
    return block.group(1);
  }

  @BeforeAll
  void serve(@TempDir Path folder) throws IOException, InterruptedException {
    archive = Archive.unpack(folder);
    String command = commands.getFirst().lines().findFirst().orElseThrow().replaceAll(" +#.*", "");
    server = archive.shell(script(command) + " --port 0").start();
    BufferedReader output =
        new BufferedReader(new InputStreamReader(server.getInputStream(), StandardCharsets.UTF_8));
    StringBuilder said = new StringBuilder();
    while (address.isEmpty()) {
      String line = output.readLine();
      assertThat(line).as("the server ended: " + said).isNotNull();
      said.append(line).append('\n');
      Matcher matcher = ADDRESS.matcher(line);
      address = matcher.find() ? matcher.group(1) : "";
    }
  }

  @AfterAll
  void end() throws InterruptedException {
    server.destroy();
    assertThat(server.waitFor(30, TimeUnit.SECONDS)).isTrue();
  }

  /** A command as the archive has it. */
  private String script(String command) {
    return command
        .replace("./flotilla ", "exec '" + archive.launcher() + "' ")
        .replace("http://localhost:8000", address);
  }

  private String run(String start) throws IOException, InterruptedException {
    String command =
        commands.stream().filter(block -> block.startsWith(start)).findFirst().orElseThrow();
    Archive.Result result = Archive.run(archive.shell(script(command)), "");
    assertThat(result.exitCode()).as(result.output()).isZero();
    return result.output();
  }

  @Test
  void answersAChat() throws Exception {
    assertThat(run("curl -s http://localhost:8000/v1/chat"))
        .contains("\"object\":\"chat.completion\"", "Paris");
  }

  @Test
  void streamsACompletion() throws Exception {
    assertThat(run("curl -sN")).contains("text_completion", "\"finish_reason\"", "data: [DONE]");
  }

  @Test
  void listsModelsHealthAndMetrics() throws Exception {
    assertThat(run("curl -s http://localhost:8000/v1/models"))
        .contains("\"pocket\"", "serving", "flotilla:num_requests_running");
  }

  @Test
  void measuresTheServer() throws Exception {
    String command =
        commands.stream().filter(block -> block.contains("bench serve")).findFirst().orElseThrow();
    Archive.Result result =
        Archive.run(archive.shell(script(command.strip()) + " --base-url " + address), "");

    assertThat(result.exitCode()).as(result.output()).isZero();
    assertThat(result.output()).containsPattern("Successful requests: +16");
  }

  @Test
  void chatsThroughItsFirstCommands() throws Exception {
    assertThat(commands.getFirst()).contains("./flotilla chat ");
    Archive.Result result =
        Archive.run(archive.command("chat", "--url", address), "What is the capital of France?\n");

    assertThat(result.output()).contains("Paris");
  }
}
