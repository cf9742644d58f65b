package io.flotilla.cli.option;

import io.flotilla.executor.Topology;
import io.flotilla.executor.wire.NodePlace;
import io.flotilla.generation.EngineOptions;
import io.flotilla.generation.Placement;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Option;

/** Flags of everything that runs a model in this process. Names are vLLM's where it has one. */
public final class EngineFlags {
  private static final EngineOptions DEFAULTS = EngineOptions.of("");

  @ArgGroup(validate = false, order = 10, heading = "%nModel:%n")
  private final ModelFlags model = new ModelFlags();

  @ArgGroup(validate = false, order = 20, heading = "%nEngine:%n")
  private final RunFlags run = new RunFlags();

  @ArgGroup(validate = false, order = 30, heading = "%nParallelism:%n")
  private final ParallelFlags parallel = new ParallelFlags();

  private static final class ModelFlags {
    @Option(
        names = "--tokenizer",
        paramLabel = "MODEL",
        description = "Take the tokenizer from another folder, .gguf file or hub id.")
    private @Nullable String tokenizer;

    @Option(
        names = "--chat-template",
        paramLabel = "FILE|TEXT",
        description = "A Jinja template in place of the model's own.")
    private @Nullable String chatTemplate;

    @Option(
        names = "--load-format",
        paramLabel = "FORMAT",
        defaultValue = "auto",
        description =
            "auto reads the weights; dummy makes random ones from a config.json alone."
                + " Default: ${DEFAULT-VALUE}.")
    private String loadFormat = DEFAULTS.loadFormat();

    @Option(
        names = {"--quantization", "-q"},
        paramLabel = "TYPE",
        description =
            "Type of dummy weights: bf16, f16, f32, q8_0, q4_0, q4_1, q5_0, q5_1, q4_k, q5_k or"
                + " q6_k. Real weights are used as they are stored.")
    private @Nullable String quantization;

    @Option(
        names = "--dtype",
        paramLabel = "TYPE",
        defaultValue = "auto",
        description =
            "Type of activations and KV cache: auto, float32 on a CPU or bfloat16 on a GPU."
                + " Default: ${DEFAULT-VALUE}.")
    private String dtype = DEFAULTS.dtype();
  }

  private static final class RunFlags {
    @Option(
        names = "--device",
        paramLabel = "DEVICE",
        defaultValue = "auto",
        description =
            "auto, cpu or cuda; auto is cuda where a usable GPU is. Default: ${DEFAULT-VALUE}.")
    private String device = DEFAULTS.device();

    @Option(
        names = "--threads",
        paramLabel = "N",
        description = "Cores that compute. Default: all of them.")
    private int threads = DEFAULTS.threads();

    @Option(
        names = "--max-model-len",
        paramLabel = "TOKENS",
        description = "Prompt and output of a request together. Default: what the model says.")
    private int maxModelLength = DEFAULTS.maxModelLength();

    @Option(
        names = "--max-num-seqs",
        paramLabel = "N",
        description = "Sequences that run at once. Default: 256; 1 for chat and complete.")
    private @Nullable Integer maxSequences;

    @Option(
        names = "--max-num-batched-tokens",
        paramLabel = "TOKENS",
        defaultValue = "2048",
        description = "Tokens a step computes at most. Default: ${DEFAULT-VALUE}.")
    private int maxBatchedTokens = DEFAULTS.maxBatchedTokens();

    @Option(
        names = "--max-waiting",
        paramLabel = "N",
        defaultValue = "1024",
        description =
            "Sequences that wait at most; more are refused (HTTP 429). Default: ${DEFAULT-VALUE}.")
    private int maxWaiting = DEFAULTS.maxWaiting();

    @Option(
        names = "--kv-cache-memory-bytes",
        paramLabel = "SIZE",
        converter = ByteSize.class,
        description =
            "Memory of the KV cache, such as 4GiB or 512MiB. Default: a share of what is free.")
    private long kvCacheBytes = DEFAULTS.kvCacheBytes();

    @Option(
        names = "--gpu-memory-utilization",
        paramLabel = "SHARE",
        defaultValue = "0.9",
        description =
            "Share of a GPU's memory to use; the KV cache gets what weights and activations leave"
                + " of it. Default: ${DEFAULT-VALUE}.")
    private double gpuMemoryUtilization = DEFAULTS.gpuMemoryUtilization();

    @Option(
        names = "--enable-prefix-caching",
        negatable = true,
        defaultValue = "true",
        fallbackValue = "true",
        description = "Share the KV cache of equal prefixes. Default: on.")
    private boolean prefixCaching = DEFAULTS.prefixCaching();

    @Option(
        names = "--seed",
        paramLabel = "N",
        defaultValue = "0",
        description = "Seed of dummy weights, and of requests that bring none. Default: 0.")
    private long seed = DEFAULTS.seed();
  }

  private static final class ParallelFlags {
    @Option(
        names = {"--tensor-parallel-size", "-tp"},
        paramLabel = "N",
        defaultValue = "1",
        description = "Ranks each layer is split over.")
    private int tensor = 1;

    @Option(
        names = {"--pipeline-parallel-size", "-pp"},
        paramLabel = "N",
        defaultValue = "1",
        description = "Stages the layers are spread over.")
    private int pipeline = 1;

    @Option(
        names = "--pipeline-layers",
        paramLabel = "N,N,...",
        split = ",",
        description = "Layers of each stage, such as 10,12,10. Default: balanced by weight.")
    private List<Integer> pipelineLayers = List.of();

    @Option(
        names = "--cores-per-rank",
        paramLabel = "N",
        defaultValue = "0",
        description = "CPU cores of each rank. Default: all cores shared out evenly.")
    private int coresPerRank = 0;

    @Option(
        names = "--oversubscribe",
        description = "Allow more ranks than there are cores for; slow, to try layouts out.")
    private boolean oversubscribe;

    @Option(
        names = "--device-ids",
        paramLabel = "N,N,...",
        split = ",",
        description =
            "The GPU of each rank, such as 0,0 to try two ranks on one. Default: 0, 1, ...")
    private List<Integer> deviceIds = List.of();

    @Option(
        names = {"--data-parallel-size", "-dp"},
        paramLabel = "N",
        defaultValue = "1",
        description = "Replicas of the model.")
    private int data = 1;

    @Option(
        names = {"--decode-context-parallel-size", "-dcp"},
        paramLabel = "N",
        defaultValue = "1",
        description =
            "Ranks that hold a sequence's KV cache between them, of those that would hold the same"
                + " heads: divides tensor-parallel size / KV heads.")
    private int decodeContext = 1;

    @Option(
        names = {"--prefill-context-parallel-size", "-pcp"},
        paramLabel = "N",
        defaultValue = "1",
        description = "Ranks a long prompt's tokens are shared out over, times all others.")
    private int prefillContext = 1;

    @Option(
        names = "--enable-expert-parallel",
        description = "Give each rank of a stage some experts whole, not a part of each of them.")
    private boolean expertParallel;
  }

  /**
   * The options for a model that many use.
   *
   * @throws UsageException naming the flag that cannot be honoured
   */
  public EngineOptions toOptions(String modelName) {
    return toOptions(modelName, DEFAULTS.maxSequences());
  }

  /**
   * The options for a model.
   *
   * @param sequences that run at once where nothing was said
   * @throws UsageException naming the flag that cannot be honoured
   */
  public EngineOptions toOptions(String modelName, int sequences) {
    refuseLargerLayouts();
    refuseNegatives();
    return new EngineOptions(
        modelName,
        model.tokenizer,
        model.chatTemplate,
        oneOf("--load-format", model.loadFormat, "auto", "dummy"),
        model.quantization,
        oneOf("--dtype", model.dtype, "auto", "float32", "bfloat16"),
        oneOf("--device", run.device, "auto", "cpu", "cuda"),
        run.threads,
        new Topology(
            1,
            parallel.pipeline,
            parallel.tensor,
            parallel.prefillContext,
            parallel.decodeContext,
            parallel.expertParallel),
        new Placement(
            parallel.pipelineLayers,
            parallel.coresPerRank,
            parallel.oversubscribe,
            parallel.deviceIds,
            NodePlace.ALONE),
        run.maxModelLength,
        run.maxSequences == null ? sequences : run.maxSequences,
        run.maxBatchedTokens,
        run.maxWaiting,
        run.kvCacheBytes,
        utilization(),
        DEFAULTS.blockSize(),
        run.prefixCaching,
        run.seed);
  }

  /**
   * The flags that make these options again, but for the model and its text side: what the process
   * of a replica is started with.
   */
  public static List<String> argumentsOf(EngineOptions options) {
    List<String> flags = new ArrayList<>();
    add(flags, "--load-format", options.loadFormat());
    if (options.quantization() != null) {
      add(flags, "--quantization", options.quantization());
    }
    add(flags, "--dtype", options.dtype());
    add(flags, "--device", options.device());
    add(flags, "--threads", options.threads());
    add(flags, "--max-model-len", options.maxModelLength());
    add(flags, "--max-num-seqs", options.maxSequences());
    add(flags, "--max-num-batched-tokens", options.maxBatchedTokens());
    add(flags, "--max-waiting", options.maxWaiting());
    add(flags, "--kv-cache-memory-bytes", options.kvCacheBytes());
    add(flags, "--gpu-memory-utilization", options.gpuMemoryUtilization());
    flags.add(options.prefixCaching() ? "--enable-prefix-caching" : "--no-enable-prefix-caching");
    add(flags, "--seed", options.seed());
    addLayout(flags, options.topology(), options.placement());
    return flags;
  }

  private static void addLayout(List<String> flags, Topology topology, Placement placement) {
    add(flags, "--tensor-parallel-size", topology.tensor());
    add(flags, "--pipeline-parallel-size", topology.pipeline());
    add(flags, "--prefill-context-parallel-size", topology.prefillContext());
    add(flags, "--decode-context-parallel-size", topology.decodeContext());
    if (topology.expertParallel()) {
      flags.add("--enable-expert-parallel");
    }
    addList(flags, "--pipeline-layers", placement.pipelineLayers());
    add(flags, "--cores-per-rank", placement.coresPerRank());
    if (placement.oversubscribe()) {
      flags.add("--oversubscribe");
    }
    addList(flags, "--device-ids", placement.deviceIds());
  }

  private static void add(List<String> flags, String flag, Object value) {
    flags.add(flag + "=" + value);
  }

  private static void addList(List<String> flags, String flag, List<Integer> values) {
    if (!values.isEmpty()) {
      add(flags, flag, values.stream().map(String::valueOf).collect(Collectors.joining(",")));
    }
  }

  private void refuseLargerLayouts() {
    if (parallel.data != 1) {
      throw new UsageException(
          "--data-parallel-size is %d, but this version runs one replica: use 1"
              .formatted(parallel.data));
    }
  }

  private void refuseNegatives() {
    if (run.maxSequences != null) {
      atLeast("--max-num-seqs", run.maxSequences, 1);
    }
    atLeast("--max-num-batched-tokens", run.maxBatchedTokens, 1);
    atLeast("--tensor-parallel-size", parallel.tensor, 1);
    atLeast("--pipeline-parallel-size", parallel.pipeline, 1);
    atLeast("--prefill-context-parallel-size", parallel.prefillContext, 1);
    atLeast("--decode-context-parallel-size", parallel.decodeContext, 1);
    atLeast("--cores-per-rank", parallel.coresPerRank, 0);
    Map.of(
            "--threads", run.threads,
            "--max-model-len", run.maxModelLength,
            "--max-waiting", run.maxWaiting)
        .forEach((flag, value) -> atLeast(flag, value, 0));
  }

  private static void atLeast(String flag, int value, int least) {
    if (value < least) {
      throw new UsageException(flag + " is " + value + "; it must be at least " + least);
    }
  }

  private double utilization() {
    double share = run.gpuMemoryUtilization;
    if (share > 0 && share <= 1) {
      return share;
    }
    throw new UsageException(
        "--gpu-memory-utilization is " + share + "; it must be above 0 and at most 1");
  }

  private static String oneOf(String flag, String value, String... known) {
    if (List.of(known).contains(value)) {
      return value;
    }
    String last = known[known.length - 1];
    String others = String.join(", ", List.of(known).subList(0, known.length - 1));
    throw new UsageException(
        flag + " is " + value + "; this version knows " + others + " and " + last);
  }
}
