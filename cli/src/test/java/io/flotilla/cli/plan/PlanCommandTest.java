package io.flotilla.cli.plan;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class PlanCommandTest {
  private static final String MIXTURE =
      """
      {"architectures": ["Qwen3MoeForCausalLM"], "hidden_size": 512, "intermediate_size": 1024,
       "num_hidden_layers": 2, "num_attention_heads": 8, "num_key_value_heads": 1,
       "head_dim": 64, "vocab_size": 1000, "max_position_embeddings": 1024,
       "moe_intermediate_size": 256, "num_experts": 16, "num_experts_per_tok": 4,
       "norm_topk_prob": true, "decoder_sparse_step": 1, "mlp_only_layers": [],
       "rms_norm_eps": 1e-6, "rope_theta": 1000000, "tie_word_embeddings": true}
      """;

  @TempDir private Path folder;

  @BeforeEach
  void writeModel() throws IOException {
    Files.writeString(folder.resolve("config.json"), MIXTURE);
  }

  private String print(String... more) {
    StringWriter out = new StringWriter();
    CommandLine command = new CommandLine(new PlanCommand());
    command.setOut(new PrintWriter(out));
    List<String> arguments = new ArrayList<>(List.of(folder.toString()));
    arguments.addAll(List.of(more));
    assertThat(command.execute(arguments.toArray(String[]::new))).isZero();
    return out.toString();
  }

  /** The start of each line of the table: pp, pcp, tp, dcp and ep. */
  private static List<String> places(String text) {
    return text.lines()
        .filter(line -> line.matches(" +\\d.*"))
        .map(line -> line.substring(0, 23).strip().replaceAll(" +", " "))
        .toList();
  }

  @Test
  void listsEveryLayoutOnceAndMarksHowToShareExperts() {
    String text = print("--devices", "2", "--kv-cache-memory-bytes", "16MiB");
    assertThat(places(text))
        .containsExactly(
            "1 1 1 1 split",
            "1 1 2 1 split *",
            "1 1 2 1 whole",
            "1 1 2 2 split *",
            "1 1 2 2 whole",
            "1 2 1 1 split",
            "1 2 1 1 whole *",
            "2 1 1 1 split");
    assertThat(text)
        .containsOnlyOnce("* has fewer bytes read/decode + 2.0 x sent/decode of the two")
        .contains("Recommended: one rank");
  }

  @Test
  void listsTheSameLayoutsForGpus() {
    String gpus = print("--devices", "2", "--device-memory", "8GiB");
    String cores = print("--devices", "2", "--kv-cache-memory-bytes", "16MiB");
    assertThat(layouts(gpus)).isEqualTo(layouts(cores));
  }

  private static List<String> layouts(String text) {
    return places(text).stream().map(place -> place.replace(" *", "")).toList();
  }

  @Test
  void jsonHasWhatTheTableHas() {
    JsonNode json =
        JsonMapper.shared()
            .readTree(print("--json", "--devices", "2", "--kv-cache-memory-bytes", "16MiB"));
    assertThat(json.get("layouts").size()).isEqualTo(8);
    JsonNode spread = json.get("layouts").get(3);
    assertThat(spread.get("decode_context_parallel_size").intValue()).isEqualTo(2);
    assertThat(spread.get("shares_experts_better").booleanValue()).isTrue();
    assertThat(spread.get("kv_bytes_per_token").doubleValue()).isEqualTo(2 * 2 * 4 * 64 / 2.0);
    assertThat(spread.get("kv_tokens").longValue()).isEqualTo(2 * (16L << 20) / 1024);
    assertThat(
            spread.get("stages").get(0).get("decode_step").get("bytes_sent_in_stage").longValue())
        .isPositive();
    assertThat(json.get("expert_rule").stringValue()).contains("sent/decode");
  }
}
