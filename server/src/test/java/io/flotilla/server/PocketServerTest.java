package io.flotilla.server;

import static io.flotilla.server.TestServer.CHAT;
import static io.flotilla.server.TestServer.COMPLETIONS;
import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.net.http.HttpResponse;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import tools.jackson.databind.JsonNode;

/** The bundled model behind the server, from request to answer. */
@Timeout(120)
class PocketServerTest {
  private static final TestServer SERVER = TestServer.ofPocket(4, 16);
  private static final String STORY = "{'prompt':'Once upon a time','temperature':0,";
  private static final String ENDLESS =
      "{'prompt':'Once','max_tokens':2000,'ignore_eos':true,'stream':%s}";

  @AfterAll
  static void close() {
    SERVER.close();
  }

  @Test
  void chats() throws Exception {
    JsonNode answer =
        SERVER.json(
            CHAT, "{'messages':[{'role':'user','content':'Hello'}],'max_tokens':20,'seed':1}");
    assertThat(answer.at("/choices/0/message/content").stringValue()).isNotBlank();
    assertThat(answer.get("model").stringValue()).isEqualTo("pocket");
  }

  @Test
  void streamsWhatItWouldAnswerAsAWhole() throws Exception {
    JsonNode whole = SERVER.json(COMPLETIONS, STORY + "'max_tokens':12}");
    HttpResponse<String> response =
        SERVER.post(
            COMPLETIONS,
            STORY + "'max_tokens':12,'stream':true,'stream_options':{'include_usage':true}}");
    assertThat(response.body()).endsWith("data: [DONE]\n\n");
    List<JsonNode> events = TestServer.events(response);
    StringBuilder text = new StringBuilder();
    events.forEach(event -> text.append(event.at("/choices/0/text").asString("")));
    assertThat(text.toString()).isEqualTo(whole.at("/choices/0/text").stringValue());
    assertThat(events.getLast().at("/usage/completion_tokens").intValue()).isEqualTo(12);
  }

  @Test
  void equalSeedsGiveEqualChoicesAndUnlikeOnesDoNot() throws Exception {
    String body = "{'prompt':'Once','n':3,'seed':5,'temperature':1,'max_tokens':12}";
    List<String> first = texts(SERVER.json(COMPLETIONS, body));
    assertThat(texts(SERVER.json(COMPLETIONS, body))).isEqualTo(first);
    assertThat(first).doesNotHaveDuplicates();
  }

  private static List<String> texts(JsonNode answer) {
    List<String> texts = new ArrayList<>();
    answer.get("choices").values().forEach(choice -> texts.add(choice.get("text").stringValue()));
    return texts;
  }

  @Test
  void takesTokenIdsThatItGave() throws Exception {
    JsonNode tokens = SERVER.json("/tokenize", "{'prompt':'Once upon a time'}").get("tokens");
    assertThat(SERVER.json("/detokenize", "{'tokens':" + tokens + "}").get("prompt").stringValue())
        .contains("Once upon a time");
    JsonNode byIds =
        SERVER.json(COMPLETIONS, "{'prompt':" + tokens + ",'temperature':0,'max_tokens':6}");
    JsonNode byText = SERVER.json(COMPLETIONS, STORY + "'max_tokens':6}");
    assertThat(texts(byIds)).isEqualTo(texts(byText));
  }

  @Test
  void scoresTokens() throws Exception {
    JsonNode answer = SERVER.json(COMPLETIONS, STORY + "'max_tokens':2,'echo':true,'logprobs':2}");
    JsonNode scores = answer.at("/choices/0/logprobs");
    assertThat(scores.get("tokens").size()).isEqualTo(scores.get("token_logprobs").size());
    assertThat(scores.at("/token_logprobs/0").isNull()).isTrue();
    assertThat(scores.at("/token_logprobs/1").doubleValue()).isNegative();
    assertThat(answer.at("/choices/0/text").stringValue()).startsWith("Once upon a time");
  }

  @Test
  void listsItsModel() throws Exception {
    JsonNode models = TestServer.parse(SERVER.get("/v1/models"));
    assertThat(models.at("/data/0/id").stringValue()).isEqualTo("pocket");
    assertThat(models.at("/data/0/max_model_len").intValue()).isEqualTo(2048);
    assertThat(SERVER.get("/v1/models/pocket").statusCode()).isEqualTo(200);
    assertThat(SERVER.get("/v1/models/other").statusCode()).isEqualTo(404);
  }

  @Test
  void showsTheMetricsThatDashboardsKnow() throws Exception {
    SERVER.json(COMPLETIONS, STORY + "'max_tokens':3}");
    String metrics = SERVER.get("/metrics").body();
    for (String name :
        List.of(
            "num_requests_running",
            "num_requests_waiting",
            "kv_cache_usage_perc",
            "prefix_cache_queries_total",
            "prefix_cache_hits_total",
            "prompt_tokens_total",
            "generation_tokens_total",
            "num_preemptions_total",
            "pipeline_busy_seconds_total",
            "pipeline_bubble_seconds_total",
            "time_to_first_token_seconds_bucket",
            "inter_token_latency_seconds_count",
            "e2e_request_latency_seconds_sum",
            "request_queue_time_seconds_count",
            "request_prefill_time_seconds_count",
            "request_decode_time_seconds_count",
            "iteration_tokens_total_bucket",
            "iteration_tokens_total_sum",
            "iteration_tokens_total_count")) {
      assertThat(metrics)
          .containsPattern(
              "(?m)^flotilla:" + name + "\\{engine=\"0\",(le=.*,)?model_name=\"pocket\"");
    }
    for (String reason : List.of("stop", "length", "abort", "error")) {
      assertThat(SERVER.metric("request_success_total", "finished_reason=\"" + reason + "\""))
          .isNotNegative();
    }
    assertThat(metrics).contains("# TYPE flotilla:iteration_tokens_total histogram");
    assertThat(SERVER.metric("generation_tokens_total", "")).isGreaterThanOrEqualTo(3);
    assertThat(SERVER.metric("iteration_tokens_total_count", "")).isPositive();
    assertThat(SERVER.metric("pipeline_busy_seconds_total", "stage=\"0\"")).isPositive();
    assertThat(SERVER.metric("pipeline_bubble_seconds_total", "stage=\"0\"")).isPositive();
  }

  @Test
  void aClientThatLeavesAmidAStreamEndsItsSequence() throws Exception {
    double before = aborts();
    try (RawConnection connection = SERVER.connect()) {
      connection.post(COMPLETIONS, ENDLESS.formatted(true));
      connection.readTo("data: ");
    }
    TestServer.await("the abort is counted", () -> aborts() == before + 1);
    TestServer.await("nothing runs", () -> metric("num_requests_running", "") == 0);
  }

  @Test
  void aClientThatLeavesWhileItWaitsEndsItsSequence() throws Exception {
    double before = aborts();
    try (RawConnection connection = SERVER.connect()) {
      connection.post(COMPLETIONS, ENDLESS.formatted(false));
      TestServer.await("it runs", () -> metric("num_requests_running", "") > 0);
    }
    TestServer.await("the abort is counted", () -> aborts() == before + 1);
    TestServer.await("nothing runs", () -> metric("num_requests_running", "") == 0);
  }

  @Test
  void aFullQueueAsksToTryAgain() throws Exception {
    try (TestServer small = TestServer.ofPocket(1, 1)) {
      List<CompletableFuture<HttpResponse<String>>> answers = new ArrayList<>();
      for (int i = 0; i < 6; i++) {
        answers.add(
            small.postLater(COMPLETIONS, "{'prompt':'a','max_tokens':60,'ignore_eos':true}"));
      }
      List<HttpResponse<String>> refused = new ArrayList<>();
      for (CompletableFuture<HttpResponse<String>> answer : answers) {
        HttpResponse<String> response = answer.get(30, TimeUnit.SECONDS);
        if (response.statusCode() != 200) {
          refused.add(response);
        }
      }
      assertThat(refused).isNotEmpty().hasSizeLessThan(6);
      HttpResponse<String> first = refused.getFirst();
      assertThat(first.statusCode()).isEqualTo(429);
      assertThat(first.headers().firstValue("Retry-After")).hasValue("1");
      assertThat(TestServer.parse(first).at("/error/code").stringValue()).isEqualTo("overloaded");
    }
  }

  private static double aborts() {
    return metric("request_success_total", "finished_reason=\"abort\"");
  }

  private static double metric(String name, String label) {
    try {
      return SERVER.metric(name, label);
    } catch (IOException | InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }
}
