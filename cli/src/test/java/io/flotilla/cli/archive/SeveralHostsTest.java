package io.flotilla.cli.archive;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * One replica in two network namespaces that a pair of virtual cables joins: as on two hosts, they
 * have no address in common.
 */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@Timeout(120)
class SeveralHostsTest {
  private static final String SETUP =
      """
      ip netns add flotilla-0
      ip netns add flotilla-1
      ip link add flotilla-v0 netns flotilla-0 type veth peer name flotilla-v1 netns flotilla-1
      ip -n flotilla-0 addr add 10.213.7.1/24 dev flotilla-v0
      ip -n flotilla-1 addr add 10.213.7.2/24 dev flotilla-v1
      ip -n flotilla-0 link set flotilla-v0 up
      ip -n flotilla-1 link set flotilla-v1 up
      ip -n flotilla-0 link set lo up
      ip -n flotilla-1 link set lo up
      """;
  private static final String REMOVAL =
      "for host in 0 1; do ip netns del flotilla-$host 2>/dev/null || true; done";

  private static final List<String> REQUESTS =
      List.of(
          "{\"prompt\": \"Once upon a time\", \"max_tokens\": 40, \"temperature\": 0}",
          "{\"prompt\": \"The little dog\", \"max_tokens\": 40, \"temperature\": 0.9, \"seed\": 7}",
          "{\"prompt\": \"A girl named Lily\", \"max_tokens\": 24, \"temperature\": 1, \"top_p\":"
              + " 0.9, \"seed\": 8, \"logprobs\": 2}");

  private final List<Process> started = new ArrayList<>();
  private Archive archive = new Archive(Path.of(""));
  private Path logs = Path.of("");
  private Archive.Result cables = new Archive.Result(1, "not tried");

  @BeforeAll
  void layCables(@TempDir Path folder) throws IOException, InterruptedException {
    cables = run("sh", "-ec", REMOVAL + "\n" + SETUP);
    archive = Archive.unpack(folder);
    logs = folder;
  }

  @BeforeEach
  void requireCables() {
    assumeTrue(
        cables.exitCode() == 0, "network namespaces are not permitted here: " + cables.output());
  }

  @AfterAll
  void removeCables() throws IOException, InterruptedException {
    assertThat(run("sh", "-c", REMOVAL).exitCode()).isZero();
  }

  @AfterEach
  void endAll() throws InterruptedException {
    for (Process process : started) {
      process.destroyForcibly().waitFor();
    }
    started.clear();
  }

  private static Archive.Result run(String... command) throws IOException, InterruptedException {
    return Archive.run(new ProcessBuilder(command).redirectErrorStream(true), "");
  }

  /** Runs a command of the archive in a namespace, its output in a file. */
  private Process start(String log, int host, String... arguments) throws IOException {
    ProcessBuilder builder = archive.command(arguments);
    builder.command().addAll(0, List.of("ip", "netns", "exec", "flotilla-" + host));
    Process process = builder.redirectOutput(log(log).toFile()).start();
    started.add(process);
    return process;
  }

  private Path log(String name) {
    return logs.resolve(name + ".log");
  }

  private Process startNode(String log, int node, String... more) throws IOException {
    List<String> arguments =
        new ArrayList<>(
            List.of(
                "serve",
                "-pp=2",
                "--cores-per-rank=1",
                "--kv-cache-memory-bytes=64MiB",
                "--nnodes=2",
                "--node-rank=" + node,
                "--master-addr=10.213.7.1",
                "--master-port=29501"));
    arguments.addAll(List.of(more));
    return start(log, node, arguments.toArray(String[]::new));
  }

  private void awaitLine(String log, String part) throws IOException, InterruptedException {
    long end = System.nanoTime() + Duration.ofSeconds(60).toNanos();
    while (!Files.readString(log(log)).contains(part)) {
      assertThat(System.nanoTime()).as("%s: %s", log, Files.readString(log(log))).isLessThan(end);
      Thread.sleep(50);
    }
  }

  private static int end(Process process) throws InterruptedException {
    assertThat(process.waitFor(20, TimeUnit.SECONDS)).isTrue();
    return process.exitValue();
  }

  /** What a server in namespace 0 answers to each request, timings and ids left out. */
  private List<String> answers() throws IOException, InterruptedException {
    List<String> answers = new ArrayList<>();
    for (String request : REQUESTS) {
      Archive.Result result = curl("/v1/completions", "-d", request);
      answers.add(result.output().replaceAll("\"(id|created)\":[^,]*,", ""));
    }
    return answers;
  }

  private static Archive.Result curl(String path, String... more)
      throws IOException, InterruptedException {
    List<String> command =
        new ArrayList<>(
            List.of("ip", "netns", "exec", "flotilla-0", "curl", "-s", "-w", " HTTP %{http_code}"));
    command.addAll(List.of(more));
    command.add("http://127.0.0.1:8000" + path);
    return run(command.toArray(String[]::new));
  }

  @Test
  void giveTheTokensOfOneAndEndTogether() throws Exception {
    Process alone = start("alone", 0, "serve", "-pp=2", "--cores-per-rank=1");
    awaitLine("alone", "Serving pocket at");
    List<String> expected = answers();
    alone.destroy();
    assertThat(end(alone)).isZero();

    Process other = startNode("other", 1);
    Process master = startNode("master", 0);
    awaitLine("master", "Serving pocket at");
    awaitLine("other", "Joined 10.213.7.1:29501 as node 1 of 2: stage 1 of 2");

    assertThat(answers()).isEqualTo(expected).allMatch(answer -> answer.endsWith("HTTP 200"));
    assertThat(curl("/metrics").output())
        .containsPattern("busy_seconds_total\\{.*stage=\"1\"} [0-9.]*[1-9]");
    master.destroy();
    assertThat(end(master)).isZero();
    assertThat(end(other)).isZero();
  }

  @Test
  void aHostThatDiesFailsTheReplicaWithinTwoSeconds() throws Exception {
    Process other = startNode("dying", 1);
    Process bereft = startNode("bereft", 0);
    awaitLine("bereft", "Serving pocket at");
    other.destroyForcibly();

    awaitFailure("node 1 (10.213.7.2) is gone");
    assertThat(curl("/v1/completions", "-d", REQUESTS.getFirst()).output())
        .contains("node 1 (10.213.7.2) is gone")
        .doesNotContain("HTTP 200");
    assertThat(end(bereft)).isEqualTo(1);
    assertThat(Files.readString(log("bereft")))
        .contains("node 1 (10.213.7.2) is gone", "No replica lives: ending in 5 s");
  }

  @Test
  void aCableThatBreaksFailsTheReplicaOnBothHosts() throws Exception {
    Process other = startNode("cut-off", 1);
    startNode("cut", 0);
    awaitLine("cut", "Serving pocket at");
    assertThat(run("ip", "-n", "flotilla-1", "link", "set", "flotilla-v1", "down").exitCode())
        .isZero();
    try {
      awaitFailure("node 1 (10.213.7.2) said nothing for 2");
      assertThat(end(other)).isEqualTo(1);
      assertThat(Files.readString(log("cut-off")))
          .contains("node 0 (10.213.7.1) said nothing for 2");
    } finally {
      run("ip", "-n", "flotilla-1", "link", "set", "flotilla-v1", "up");
    }
  }

  private static void awaitFailure(String cause) throws IOException, InterruptedException {
    long start = System.nanoTime();
    Archive.Result health = curl("/health");
    while (health.output().endsWith("HTTP 200")) {
      Thread.sleep(50);
      health = curl("/health");
    }
    assertThat(health.output()).contains(cause).endsWith("HTTP 503");
    assertThat(Duration.ofNanos(System.nanoTime() - start)).isLessThan(Duration.ofSeconds(3));
  }

  @Test
  void hostsThatDoNotFitBothSayWhatDiffers() throws Exception {
    Process other = startNode("unfit-1", 1, "--max-num-seqs=8");
    Process master = startNode("unfit-0", 0, "--max-num-seqs=16");

    assertThat(end(master)).isEqualTo(1);
    assertThat(end(other)).isEqualTo(1);
    assertThat(Files.readString(log("unfit-0"))).contains("--max-num-seqs is 16 here and 8 there");
    assertThat(Files.readString(log("unfit-1"))).contains("--max-num-seqs is 8 here and 16 there");
  }
}
