package io.flotilla.executor;

import io.flotilla.checkpoint.Checkpoint;
import io.flotilla.checkpoint.DummyWeights;
import io.flotilla.checkpoint.ElementType;
import io.flotilla.checkpoint.ExpertConfig;
import io.flotilla.checkpoint.ModelConfig;
import io.flotilla.checkpoint.RopeScaling;
import io.flotilla.checkpoint.WeightSource;
import io.flotilla.kernels.Device;
import io.flotilla.kernels.cpu.CpuDevice;
import io.flotilla.kernels.cpu.CpuInterconnect;
import io.flotilla.kernels.cpu.CpuShare;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/** A model small enough to be run in many layouts, and its weights. */
record TinyModel(String name, ModelConfig config, WeightSource weights) implements AutoCloseable {
  static final int MAX_LENGTH = 96;
  static final int MAX_SEQUENCES = 4;
  static final int MAX_ROWS = 48;
  static final int BLOCK_SIZE = 16;

  private static final List<String> ARCHITECTURES =
      List.of("LlamaForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM");
  private static final List<String> MIXTURES = List.of("MixtralForCausalLM", "Qwen3MoeForCausalLM");

  /** The model that comes with Flotilla. */
  @SuppressWarnings("MustBeClosedChecker") // Closed with the model.
  static TinyModel pocket() {
    Checkpoint checkpoint =
        Checkpoint.open(Path.of(System.getProperty("flotilla.root"), "models", "pocket"));
    return new TinyModel("pocket", checkpoint.config(), checkpoint);
  }

  /** A model of random shape that divides by {@code tensor}, with random weights. */
  static TinyModel random(Random random, int tensor) {
    return random(random, tensor, 1 << random.nextInt(4));
  }

  /** A model of random shape with some key-value heads. */
  static TinyModel random(Random random, int tensor, int kvHeads) {
    int heads = Math.max(kvHeads, tensor) * (1 + random.nextInt(2));
    String architecture = ARCHITECTURES.get(random.nextInt(ARCHITECTURES.size()));
    ElementType type = random.nextBoolean() ? ElementType.F32 : ElementType.Q8_0;
    int vocabulary = 200 + random.nextInt(200);
    ModelConfig config =
        config(architecture, heads, kvHeads, 32 * tensor * (1 + random.nextInt(2)), vocabulary);
    return new TinyModel(
        "%s %d/%d heads, %s".formatted(architecture, heads, kvHeads, type),
        config,
        new DummyWeights(config, type, random.nextLong()));
  }

  /** A mixture of experts of random shape that divides by {@code tensor}. */
  static TinyModel randomMixture(Random random, int tensor) {
    return randomMixture(random, tensor, 2);
  }

  /** A mixture of experts of random shape with some key-value heads. */
  static TinyModel randomMixture(Random random, int tensor, int kvHeads) {
    String architecture = MIXTURES.get(random.nextInt(MIXTURES.size()));
    boolean mixtral = architecture.startsWith("Mixtral");
    int heads = Math.max(kvHeads, tensor);
    ModelConfig dense =
        config(architecture, heads, kvHeads, 32 * tensor, 150 + random.nextInt(100));
    ExpertConfig experts =
        new ExpertConfig(
            8 * (1 + random.nextInt(2)),
            1 + random.nextInt(4),
            32 * tensor,
            mixtral || random.nextBoolean(),
            mixtral ? List.of() : List.of(random.nextInt(8)));
    ModelConfig config =
        new ModelConfig(
            architecture,
            dense.hiddenSize(),
            dense.intermediateSize(),
            dense.layers(),
            dense.heads(),
            dense.kvHeads(),
            dense.headDim(),
            dense.vocabularySize(),
            dense.maxPositions(),
            dense.rmsEpsilon(),
            dense.ropeTheta(),
            dense.ropeScaling(),
            false,
            dense.tiedEmbeddings(),
            false,
            false,
            List.of(),
            experts);
    return new TinyModel(
        "%s, %s".formatted(architecture, experts),
        config,
        new DummyWeights(config, ElementType.F32, random.nextLong()));
  }

  static ModelConfig config(
      String architecture, int heads, int kvHeads, int intermediate, int vocabulary) {
    return new ModelConfig(
        architecture,
        64,
        intermediate,
        8,
        heads,
        kvHeads,
        32,
        vocabulary,
        128,
        1e-5f,
        10_000,
        new RopeScaling.None(),
        false,
        heads % 3 == 0,
        true,
        true,
        List.of());
  }

  LocalExecutor start(int tensor, int pipeline) {
    return start(options(tensor, pipeline, List.of()));
  }

  LocalExecutor start(ExecutorOptions options) {
    return LocalExecutor.start(
        options, config, weights, devices(options.topology()), new CpuInterconnect());
  }

  /** A device of one thread for each rank, which share the cores. */
  static List<Device> devices(Topology topology) {
    List<Device> devices = new ArrayList<>();
    boolean crowded = topology.ranksPerReplica() > Runtime.getRuntime().availableProcessors();
    for (int rank = 0; rank < topology.ranksPerReplica(); rank++) {
      devices.add(CpuDevice.open(new CpuShare(1, List.of(), crowded)));
    }
    return devices;
  }

  static ExecutorOptions options(int tensor, int pipeline, List<Integer> pipelineLayers) {
    return options(new Topology(1, pipeline, tensor, 1, 1, false), pipelineLayers);
  }

  static ExecutorOptions options(Topology topology, List<Integer> pipelineLayers) {
    return new ExecutorOptions(
        topology, MAX_LENGTH, MAX_SEQUENCES, MAX_ROWS, 64L << 20, BLOCK_SIZE, pipelineLayers);
  }

  @Override
  public void close() {
    weights.close();
  }
}
