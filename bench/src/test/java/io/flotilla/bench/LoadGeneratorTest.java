package io.flotilla.bench;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.flotilla.bench.client.Backend;
import io.flotilla.bench.client.OpenAiClient;
import io.flotilla.bench.client.ServerException;
import io.flotilla.bench.dataset.BenchmarkPrompt;
import io.flotilla.bench.report.RequestOutcome;
import java.net.URI;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;

class LoadGeneratorTest {
  private static final long MILLI = 1_000_000;
  private static final List<BenchmarkPrompt> PROMPTS =
      Collections.nCopies(12, new BenchmarkPrompt("hello", 5, 4));

  private static ServeTarget target(String endpoint) {
    return new ServeTarget(Backend.OPENAI, endpoint, "fake", true, 0.5);
  }

  private static Load load(int maxConcurrency, int warmups) {
    return new Load(Double.POSITIVE_INFINITY, 1, maxConcurrency, warmups, 0);
  }

  @Test
  void measuresThePaceOfTheServer() throws Exception {
    try (FakeServer server = new FakeServer(120, 40, 4);
        OpenAiClient client = new OpenAiClient(server.address(), null)) {
      AtomicInteger ended = new AtomicInteger();

      LoadGenerator.Run run =
          new LoadGenerator(client, target("/v1/completions"))
              .run(PROMPTS, load(0, 1), done -> ended.accumulateAndGet(done, Math::max));

      assertThat(ended).hasValue(PROMPTS.size());
      assertThat(run.outcomes()).hasSize(PROMPTS.size()).allMatch(RequestOutcome::success);
      for (RequestOutcome outcome : run.outcomes()) {
        assertThat(outcome.promptTokens()).isEqualTo(9);
        assertThat(outcome.outputTokens()).isEqualTo(4);
        assertThat(outcome.interTokenLatencies()).hasSize(3);
        // A server that sleeps can be late but never early, which bounds times from below alone;
        // what a gap lost to a late event before it, the sum still has.
        assertThat(outcome.timeToFirstToken()).isGreaterThanOrEqualTo(120 * MILLI);
        assertThat(outcome.latency()).isGreaterThanOrEqualTo(240 * MILLI);
        assertThat(Arrays.stream(outcome.interTokenLatencies()).sum())
            .isEqualTo(outcome.latency() - outcome.timeToFirstToken());
      }
      assertThat(run.durationNanos()).isGreaterThanOrEqualTo(240 * MILLI);
      assertThat(server.bodies()).hasSize(PROMPTS.size() + 1);
      assertThat(server.bodies().getFirst())
          .contains("\"prompt\":\"hello\"", "\"max_tokens\":4", "\"ignore_eos\":true")
          .contains("\"temperature\":0.5", "\"include_usage\":true");
    }
  }

  @Test
  void neverHasMoreRequestsUnderWayThanAllowed() throws Exception {
    try (FakeServer server = new FakeServer(10, 5, 3);
        OpenAiClient client = new OpenAiClient(server.address(), null)) {
      new LoadGenerator(client, target("/v1/completions")).run(PROMPTS, load(3, 0), _ -> {});

      assertThat(server.peakConcurrency()).isEqualTo(3);
    }
  }

  @Test
  void spreadsRequestsOverTheRate() throws Exception {
    try (FakeServer server = new FakeServer(0, 0, 1);
        OpenAiClient client = new OpenAiClient(server.address(), null)) {
      LoadGenerator.Run run =
          new LoadGenerator(client, target("/v1/completions"))
              .run(PROMPTS, new Load(60, Double.POSITIVE_INFINITY, 0, 0, 0), _ -> {});

      long spread = run.outcomes().getLast().start() - run.outcomes().getFirst().start();
      assertThat(spread).isGreaterThanOrEqualTo(170 * MILLI);
    }
  }

  @Test
  void countsRefusalsAsFailuresWithTheServersReason() throws Exception {
    try (FakeServer server = new FakeServer(0, 0, 1);
        OpenAiClient client = new OpenAiClient(server.address(), null)) {
      LoadGenerator refused = new LoadGenerator(client, target("/v1/refusing"));

      assertThat(refused.run(PROMPTS, load(0, 0), _ -> {}).outcomes())
          .extracting(RequestOutcome::error)
          .containsOnly("HTTP 400: no");
      assertThatThrownBy(() -> refused.probe(PROMPTS.getFirst()))
          .isInstanceOf(ServerException.class)
          .hasMessage("HTTP 400: no");
      assertThatThrownBy(
              () -> new LoadGenerator(client, target("/v1/babbling")).probe(PROMPTS.getFirst()))
          .hasMessageContaining("not JSON");
    }
  }

  @Test
  void saysWhatToDoWhenNothingAnswers() {
    try (OpenAiClient client = new OpenAiClient(URI.create("http://127.0.0.1:9"), null)) {
      assertThatThrownBy(client::firstModel)
          .isInstanceOf(ServerException.class)
          .hasMessageContaining("nothing answers at http://127.0.0.1:9");
    }
  }

  @Test
  void asksTheServerForItsModel() throws Exception {
    try (FakeServer server = new FakeServer(0, 0, 1);
        OpenAiClient client = new OpenAiClient(server.address(), null)) {
      assertThat(client.firstModel()).isEqualTo(new OpenAiClient.Model("fake", "/models/fake"));
    }
  }
}
