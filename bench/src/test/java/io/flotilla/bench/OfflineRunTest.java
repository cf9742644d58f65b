package io.flotilla.bench;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.flotilla.bench.dataset.BenchmarkPrompt;
import io.flotilla.bench.report.ThroughputReport;
import io.flotilla.engine.TokenEvent.FailureCode;
import io.flotilla.generation.GenerationException;
import io.flotilla.generation.GenerationRequest;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(20)
class OfflineRunTest {
  private final FakeModel model = new FakeModel(100);

  @Test
  void generatesFromEveryPromptPastItsEnd() throws InterruptedException {
    AtomicLong most = new AtomicLong();
    ThroughputReport report =
        new OfflineRun(model, 5, 0)
            .run(
                List.of(new BenchmarkPrompt("a b", 2, 7), new BenchmarkPrompt("a b c", 3, 9)),
                done -> most.accumulateAndGet(done, Math::max));
    assertThat(report.requests()).isEqualTo(2);
    assertThat(report.promptTokens()).isEqualTo(5);
    assertThat(report.outputTokens()).isEqualTo(16);
    assertThat(most).hasValue(2);
    assertThat(model.requests())
        .extracting(GenerationRequest::sampling)
        .allMatch(sampling -> sampling.stopTokens().isEmpty() && sampling.temperature() == 1f)
        .extracting(sampling -> sampling.seed())
        .containsExactlyInAnyOrder(5L, 6L);
  }

  @Test
  void refusesWhatDoesNotFitBeforeItStarts() {
    assertThatThrownBy(
            () ->
                new OfflineRun(model, 0, 0)
                    .run(List.of(new BenchmarkPrompt("a b", 90, 11)), _ -> {}))
        .hasMessageContaining("a prompt of 90 tokens and an output of 11 are more than the 100");
    assertThat(model.requests()).isEmpty();
  }

  @Test
  void failsWithTheModel() {
    model.failWith(FailureCode.REPLICA_FAILED, "rank 0 lost its device");
    assertThatThrownBy(
            () -> new OfflineRun(model, 0, 0).run(List.of(new BenchmarkPrompt("a", 1, 1)), _ -> {}))
        .isInstanceOf(GenerationException.class)
        .hasMessage("rank 0 lost its device");
  }

  @Test
  void printsAndSavesThroughputAsVllmDoes() {
    ThroughputReport report = new ThroughputReport(4, 100, 60, 2);
    assertThat(report.text())
        .isEqualTo(
            """
            Throughput: 2.00 requests/s, 80.00 total tokens/s, 30.00 output tokens/s
            Total num prompt tokens:  100
            Total num output tokens:  60
            """);
    assertThat(new String(report.json(), java.nio.charset.StandardCharsets.UTF_8))
        .contains("\"elapsed_time\":2.0", "\"num_requests\":4", "\"total_num_tokens\":160")
        .contains("\"requests_per_second\":2.0", "\"tokens_per_second\":80.0");
  }
}
