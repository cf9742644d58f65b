package io.flotilla.cli.archive;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Iterator;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The shipped server with its replica in a process of its own, as it is with a GPU. */
@Timeout(120)
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class ReplicaProcessTest {
  private static final Pattern ADDRESS = Pattern.compile("Serving \\S+ at (http://\\S+)/v1");
  private static final String STORY =
      "{\"prompt\":\"Once upon a time\",\"temperature\":0,\"max_tokens\":24}";
  private static final String LONG =
      "{\"prompt\":\"Once\",\"ignore_eos\":true,\"max_tokens\":%d,\"stream\":true}";
  private static final Pattern TEXT = Pattern.compile("\"text\":\"([^\"]*)\"");

  private final HttpClient http = HttpClient.newHttpClient();
  private Archive archive = new Archive(Path.of(""));

  /** A server that runs. */
  private record Server(Process process, String address, List<String> log)
      implements AutoCloseable {
    ProcessHandle replica() {
      List<ProcessHandle> children = process.children().toList();
      assertThat(children).hasSize(1);
      return children.getFirst();
    }

    @Override
    public void close() {
      process.destroyForcibly().onExit().join();
    }
  }

  @BeforeAll
  void unpack(@TempDir Path folder) throws IOException, InterruptedException {
    archive = Archive.unpack(folder);
  }

  @Test
  void aReplicaThatIsKilledIsReportedAndReplaced() throws Exception {
    try (Server server = serve()) {
      String before = text(post(server, STORY).body());
      HttpResponse<Stream<String>> stream = open(server, LONG.formatted(2000));
      Iterator<String> lines = stream.body().iterator();
      assertThat(lines.next()).startsWith("data: {");
      server.replica().destroyForcibly();
      List<String> rest = new ArrayList<>();
      lines.forEachRemaining(rest::add);
      assertThat(String.join("\n", rest))
          .contains("\"error\"", "exit status 137, SIGKILL", "replica_failed");

      HttpResponse<String> refused = post(server, STORY);
      assertThat(refused.statusCode()).isEqualTo(503);
      assertThat(refused.body()).contains("started again", "SIGKILL");
      assertThat(get(server, "/health").statusCode()).isEqualTo(503);

      while (get(server, "/health").statusCode() != 200) {
        Thread.sleep(50);
      }
      assertThat(text(post(server, STORY).body())).isEqualTo(before);
      assertThat(get(server, "/metrics").body())
          .containsPattern("flotilla:replica_restarts_total\\{.*} 1.0");
      assertThat(server.log())
          .anyMatch(line -> line.contains("started again in 1 s: the replica's process ended"));
    }
  }

  @Test
  void aReplicaEndsWithItsServer() throws Exception {
    ProcessHandle replica;
    try (Server server = serve()) {
      replica = server.replica();
    }
    assertThat(replica.onExit().get(10, TimeUnit.SECONDS).isAlive()).isFalse();
  }

  @Test
  void theServersSigtermLetsWhatRunsFinish() throws Exception {
    try (Server server = serve()) {
      ProcessHandle replica = server.replica();
      CompletableFuture<HttpResponse<String>> running =
          http.sendAsync(request(server, LONG.formatted(300)), BodyHandlers.ofString());
      awaitRunning(server);
      server.process().destroy();
      assertThat(running.get(60, TimeUnit.SECONDS).body())
          .contains("\"finish_reason\":\"length\"", "data: [DONE]")
          .doesNotContain("error");
      assertThat(server.process().waitFor(30, TimeUnit.SECONDS)).isTrue();
      assertThat(server.process().exitValue()).isZero();
      assertThat(replica.isAlive()).isFalse();
    }
  }

  /** As a service manager does, which signals every process of a service. */
  @Test
  void aSigtermToBothLetsWhatRunsFinish() throws Exception {
    try (Server server = serve()) {
      CompletableFuture<HttpResponse<String>> running =
          http.sendAsync(request(server, LONG.formatted(300)), BodyHandlers.ofString());
      awaitRunning(server);
      ProcessHandle replica = server.replica();
      server.process().destroy();
      replica.destroy();
      assertThat(running.get(60, TimeUnit.SECONDS).body())
          .contains("\"finish_reason\":\"length\"", "data: [DONE]");
      assertThat(server.process().waitFor(30, TimeUnit.SECONDS)).isTrue();
      assertThat(server.process().exitValue()).isZero();
    }
  }

  @Test
  void aReplicaThatCannotStartEndsTheServerWithTheCause() throws Exception {
    Archive.Result result =
        Archive.run(
            archive.command(
                "serve", "--device=cpu", "--replica-process", "--port=0", "--max-model-len=99999"),
            "");
    assertThat(result.exitCode()).isEqualTo(1);
    assertThat(result.output())
        .contains("flotilla: --max-model-len 99999 is more than the model's 2048 positions");
  }

  private Server serve() throws IOException {
    Process process =
        archive.command("serve", "--device=cpu", "--replica-process", "--port=0").start();
    BufferedReader output =
        new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8));
    List<String> log = new ArrayList<>();
    for (String line = output.readLine(); line != null; line = output.readLine()) {
      log.add(line);
      Matcher matcher = ADDRESS.matcher(line);
      if (matcher.find()) {
        List<String> rest = Collections.synchronizedList(log);
        Thread.ofVirtual().start(() -> output.lines().forEach(rest::add));
        return new Server(process, matcher.group(1), rest);
      }
    }
    throw new AssertionError("the server ended: " + log);
  }

  private void awaitRunning(Server server) throws Exception {
    Pattern running = Pattern.compile("(?m)^flotilla:num_requests_running\\{.*} 1.0");
    while (!running.matcher(get(server, "/metrics").body()).find()) {
      Thread.sleep(10);
    }
  }

  private HttpResponse<String> post(Server server, String body) throws Exception {
    return http.send(request(server, body), BodyHandlers.ofString());
  }

  private HttpResponse<Stream<String>> open(Server server, String body) throws Exception {
    return http.send(request(server, body), BodyHandlers.ofLines());
  }

  private HttpResponse<String> get(Server server, String path) throws Exception {
    return http.send(
        HttpRequest.newBuilder(URI.create(server.address() + path)).build(),
        BodyHandlers.ofString());
  }

  private static HttpRequest request(Server server, String body) {
    return HttpRequest.newBuilder(URI.create(server.address() + "/v1/completions"))
        .header("Content-Type", "application/json")
        .POST(BodyPublishers.ofString(body))
        .build();
  }

  private static String text(String answer) {
    Matcher matcher = TEXT.matcher(answer);
    assertThat(matcher.find()).as(answer).isTrue();
    return matcher.group(1);
  }
}
