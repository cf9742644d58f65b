package io.flotilla.executor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.flotilla.checkpoint.DummyWeights;
import io.flotilla.checkpoint.ElementType;
import io.flotilla.checkpoint.ExpertConfig;
import io.flotilla.checkpoint.ModelConfig;
import io.flotilla.checkpoint.RopeScaling;
import io.flotilla.executor.StepDriver.Generated;
import io.flotilla.executor.StepDriver.Request;
import io.flotilla.executor.wire.NodeLinks;
import io.flotilla.kernels.Device;
import io.flotilla.kernels.cuda.CudaDeviceProvider;
import io.flotilla.model.sampling.SamplingParameters;
import io.flotilla.model.sampling.TokenLogprobs;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Random models on a GPU, whole and in layouts of two and four ranks, against one CPU rank: the
 * logits within what bf16 leaves of them, and the same greedy tokens where the best two are further
 * apart than that.
 */
@Timeout(300)
class GpuLayoutTest {
  private static final int TOKENS = 12;

  /** Of the logits' spread, root mean square over the vocabulary. */
  private static final double TOLERANCE = 0.04;

  /**
   * Positions that may be further off: where two experts are as good as equal, bf16 may choose the
   * other.
   */
  private static final double TURNED_SHARE = 0.25;

  private final CudaDeviceProvider provider = new CudaDeviceProvider();

  @ParameterizedTest
  @CsvSource({
    "LlamaForCausalLM, 1, 1, false, 0",
    "Qwen2ForCausalLM, 1, 2, false, 0:0",
    "LlamaForCausalLM, 2, 1, false, 0:0",
    "Qwen3ForCausalLM, 2, 2, false, 0:0:0:0",
    "Qwen3MoeForCausalLM, 1, 1, false, 0",
    "MixtralForCausalLM, 1, 1, false, 0",
    "Qwen3MoeForCausalLM, 1, 2, false, 0:0",
    "MixtralForCausalLM, 1, 2, true, 0:0",
    "Qwen3MoeForCausalLM, 1, 2, true, 0:0",
    "MixtralForCausalLM, 2, 1, false, 0:0",
    "Qwen3ForCausalLM, 1, 2, false, 0:1",
    "Qwen3ForCausalLM, 2, 1, false, 0:1",
    "Qwen3MoeForCausalLM, 1, 2, true, 0:1",
    "MixtralForCausalLM, 2, 2, false, 0:1:0:1",
  })
  void givesTheLogitsOfTheCpu(
      String architecture, int pipeline, int tensor, boolean experts, String ids) {
    compare(architecture, new Topology(1, pipeline, tensor, 1, 1, experts), ids);
  }

  /** Ranks that share out rows, or hold the tokens of a key-value head between them. */
  @Tag("emulated")
  @ParameterizedTest
  @CsvSource({
    "LlamaForCausalLM, 1, 2, 1, 1, false, 0:0",
    "MixtralForCausalLM, 1, 2, 1, 1, true, 0:1",
    "Qwen3ForCausalLM, 1, 1, 2, 2, false, 0:0",
  })
  void givesTheLogitsOfTheCpuWithASpreadContext(
      String architecture,
      int pipeline,
      int context,
      int tensor,
      int tokens,
      boolean experts,
      String ids) {
    compare(architecture, new Topology(1, pipeline, tensor, context, tokens, experts), ids);
  }

  @ParameterizedTest
  @CsvSource({
    "Qwen3ForCausalLM, 1, 2, 2, 1, false, 0:0:0:0",
    "Qwen2ForCausalLM, 2, 2, 1, 1, false, 0:0:0:0",
    "Qwen3MoeForCausalLM, 1, 2, 1, 1, true, 0:0",
    "MixtralForCausalLM, 1, 2, 2, 1, true, 0:0:0:0",
    "Qwen3ForCausalLM, 1, 1, 2, 2, false, 0:1",
    "Qwen3MoeForCausalLM, 2, 1, 2, 2, true, 0:0:0:0",
    "LlamaForCausalLM, 1, 2, 2, 2, false, 0:0:0:0",
    "Qwen3ForCausalLM, 1, 2, 1, 1, false, 0:1",
    "LlamaForCausalLM, 1, 2, 2, 2, false, 0:1:0:1",
    "Qwen3ForCausalLM, 1, 1, 4, 4, false, 0:1:2:3",
    "Qwen3MoeForCausalLM, 1, 2, 2, 1, true, 0:1:2:3",
    "Qwen3ForCausalLM, 1, 1, 8, 2, false, 0:1:2:3:4:5:6:7",
  })
  void givesTheLogitsOfTheCpuWithASpreadContextInMoreLayouts(
      String architecture,
      int pipeline,
      int context,
      int tensor,
      int tokens,
      boolean experts,
      String ids) {
    compare(architecture, new Topology(1, pipeline, tensor, context, tokens, experts), ids);
  }

  private void compare(String architecture, Topology topology, String ids) {
    Optional<String> obstacle = provider.obstacle();
    assumeTrue(obstacle.isEmpty(), () -> "needs a GPU: " + obstacle.orElse(""));
    int tokens = topology.decodeContext();
    ModelConfig config = config(architecture, tokens == 1 ? 4 : topology.tensor() / tokens);
    String name =
        "%s, pp %d, pcp %d, tp %d, dcp %d, %s"
            .formatted(
                architecture,
                topology.pipeline(),
                topology.prefillContext(),
                topology.tensor(),
                tokens,
                ids);
    ExecutorOptions options = TinyModel.options(topology, List.of());
    try (TinyModel model =
            new TinyModel(name, config, new DummyWeights(config, ElementType.BF16, 11));
        LocalExecutor cpu = model.start(1, 1);
        LocalExecutor gpu =
            LocalExecutor.start(
                options,
                config,
                model.weights(),
                devices(ids),
                provider.interconnect(),
                NodeLinks.alone(),
                patient())) {
      List<Generated> expected = StepDriver.run(cpu, requests(config, true), 1);
      List<Generated> actual = StepDriver.run(gpu, requests(config, true), 2);
      compareLogits(name, config, expected, actual);
      compareTokens(name, expected, actual);
      // Plain ones: sampled on the device where stages are whole, in recorded steps where ranks
      // that split a layer have a GPU each.
      compareTokens(name, expected, StepDriver.run(gpu, requests(config, false), 3));
      compareTokens(name, expected, StepDriver.run(gpu, requests(config, false), 4));
    }
  }

  /** An emulated GPU is slow, not hung. */
  private static StepWatchdog patient() {
    return new StepWatchdog(() -> System.nanoTime() / 30);
  }

  private List<Device> devices(String ids) {
    List<Device> devices = new ArrayList<>();
    for (String id : ids.split(":", -1)) {
      try {
        devices.add(provider.open(Integer.parseInt(id)));
      } catch (IllegalArgumentException e) {
        devices.forEach(Device::close);
        assumeTrue(false, e.getMessage());
      }
    }
    return devices;
  }

  /** Two nodes, in one process here, that reach each other through host memory and a socket. */
  @Test
  void givesTheTokensOfTheCpuOnTwoNodes() {
    Optional<String> obstacle = provider.obstacle();
    assumeTrue(obstacle.isEmpty(), () -> "needs a GPU: " + obstacle.orElse(""));
    ModelConfig config = config("Qwen3ForCausalLM");
    ExecutorOptions options = TinyModel.options(1, 2, List.of());
    List<NodeLinks> links = NodeCluster.join(2);
    try (TinyModel model =
            new TinyModel("nodes", config, new DummyWeights(config, ElementType.BF16, 11));
        LocalExecutor cpu = model.start(1, 1)) {
      List<CompletableFuture<LocalExecutor>> nodes =
          links.stream()
              .map(
                  link ->
                      NodeCluster.async(
                          () ->
                              LocalExecutor.start(
                                  options,
                                  config,
                                  model.weights(),
                                  devices("0"),
                                  provider.interconnect(),
                                  link)))
              .toList();
      try (LocalExecutor second = nodes.getLast().join();
          LocalExecutor first = nodes.getFirst().join()) {
        List<Generated> expected = StepDriver.run(cpu, requests(config, true), 1);
        compareLogits("two nodes", config, expected, run(first, config, true, 2));
        compareTokens("two nodes", expected, run(first, config, false, 3));
        assertThat(second.failure()).isNull();
      }
    }
  }

  private static List<Generated> run(
      LocalExecutor executor, ModelConfig config, boolean scored, long seed) {
    return StepDriver.run(executor, requests(config, scored), seed);
  }

  static ModelConfig config(String architecture) {
    return config(architecture, 4);
  }

  private static ModelConfig config(String architecture, int kvHeads) {
    boolean mixture = architecture.contains("Mo") || architecture.startsWith("Mixtral");
    ExpertConfig experts =
        architecture.startsWith("Mixtral")
            ? new ExpertConfig(4, 2, 192, true, List.of())
            : new ExpertConfig(16, 4, 64, true, List.of(1));
    return new ModelConfig(
        architecture,
        256,
        384,
        4,
        8,
        kvHeads,
        64,
        300,
        128,
        1e-5f,
        10_000,
        new RopeScaling.None(),
        false,
        false,
        true,
        false,
        List.of(),
        mixture ? experts : null);
  }

  private static List<Request> requests(ModelConfig config, boolean scored) {
    Random random = new Random(5);
    int all = scored ? config.vocabularySize() : -1;
    List<Request> requests = new ArrayList<>();
    for (int i = 0; i < TinyModel.MAX_SEQUENCES; i++) {
      int[] prompt = random.ints(15 + random.nextInt(50), 0, config.vocabularySize()).toArray();
      requests.add(new Request(prompt, TOKENS, greedy(all)));
    }
    return requests;
  }

  private static SamplingParameters greedy(int logprobs) {
    return new SamplingParameters(
        0, 0, 1, 0, 1, 0, 0, Map.of(), 1, 0, 0, List.of(), logprobs, logprobs);
  }

  private static void compareLogits(
      String name, ModelConfig config, List<Generated> expected, List<Generated> actual) {
    List<Double> errors = new ArrayList<>();
    for (int i = 0; i < expected.size(); i++) {
      List<TokenLogprobs> wanted = expected.get(i).prompt();
      assertThat(actual.get(i).prompt()).as(name).hasSameSizeAs(wanted);
      for (int position = 0; position < wanted.size(); position++) {
        errors.add(error(wanted.get(position), actual.get(i).prompt().get(position)));
      }
    }
    List<Double> sorted = errors.stream().sorted().collect(Collectors.toList());
    double median = sorted.get(sorted.size() / 2);
    System.out.printf(
        "%-50s error of logits: median %.4f, largest %.4f%n", name, median, sorted.getLast());
    assertThat(median).as(name).isLessThan(TOLERANCE);
    double within = config.experts() == null ? 1 : 1 - TURNED_SHARE;
    assertThat(sorted.get((int) ((sorted.size() - 1) * within))).as(name).isLessThan(TOLERANCE);
  }

  private static double error(TokenLogprobs expected, TokenLogprobs actual) {
    float[] wanted = byId(expected);
    float[] found = byId(actual);
    assertThat(found).hasSameSizeAs(wanted);
    double mean = IntStream.range(0, wanted.length).mapToDouble(i -> wanted[i]).average().orElse(0);
    double squares = 0;
    double squaredError = 0;
    for (int id = 0; id < wanted.length; id++) {
      squares += (wanted[id] - mean) * (wanted[id] - mean);
      squaredError += (wanted[id] - found[id]) * (double) (wanted[id] - found[id]);
    }
    return Math.sqrt(squaredError / squares);
  }

  private static float[] byId(TokenLogprobs scores) {
    float[] logprobs = new float[scores.topTokens().length];
    for (int i = 0; i < logprobs.length; i++) {
      logprobs[scores.topTokens()[i]] = scores.topLogprobs()[i];
    }
    return logprobs;
  }

  private static void compareTokens(String name, List<Generated> expected, List<Generated> actual) {
    int same = 0;
    int all = 0;
    for (int i = 0; i < expected.size(); i++) {
      int[] wanted = expected.get(i).tokens();
      int[] found = actual.get(i).tokens();
      assertThat(found).as(name).hasSameSizeAs(wanted);
      int first = Arrays.mismatch(wanted, found);
      all += wanted.length;
      same += first < 0 ? wanted.length : first;
      if (first >= 0) {
        TokenLogprobs scores = expected.get(i).samples().get(first).logprobs();
        assertThat(scores).isNotNull();
        double spread =
            scores.topLogprobs()[0] - scores.topLogprobs()[scores.topTokens().length / 2];
        double gap = scores.topLogprobs()[0] - scores.topLogprobs()[1];
        assertThat(gap).as("%s, request %d, token %d", name, i, first).isLessThan(0.1 * spread);
      }
    }
    System.out.printf("%-50s %d of %d tokens before the first tie%n", name, same, all);
    assertThat(same).as(name).isGreaterThan(all / 4);
  }
}
