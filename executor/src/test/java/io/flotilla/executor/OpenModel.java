package io.flotilla.executor;

import io.flotilla.checkpoint.Checkpoint;
import io.flotilla.checkpoint.DummyWeights;
import io.flotilla.checkpoint.ElementType;
import io.flotilla.checkpoint.ModelConfig;
import io.flotilla.checkpoint.RopeScaling;
import io.flotilla.checkpoint.WeightSource;
import io.flotilla.kernels.cpu.CpuDevice;
import java.util.List;
import java.util.Locale;

/** A model of {@link ModelFiles}, or dummy weights of one type. */
record OpenModel(ModelConfig config, WeightSource weights) implements AutoCloseable {
  static final int BLOCK_SIZE = 16;

  /**
   * Opens a model.
   *
   * @param name as for {@link ModelFiles#path}, or such as {@code dummy-q4_0}
   */
  static OpenModel open(String name) {
    if (name.startsWith("dummy-")) {
      ElementType type = ElementType.valueOf(name.substring(6).toUpperCase(Locale.ROOT));
      return dummy(type);
    }
    Checkpoint checkpoint = Checkpoint.open(ModelFiles.path(name));
    return new OpenModel(checkpoint.config(), checkpoint);
  }

  /** Every row is one or two of the largest blocks. */
  private static OpenModel dummy(ElementType type) {
    ModelConfig config =
        new ModelConfig(
            "Qwen3ForCausalLM",
            256,
            512,
            2,
            4,
            2,
            64,
            70,
            256,
            1e-6f,
            10_000,
            new RopeScaling.None(),
            false,
            true,
            false,
            false,
            List.of(0));
    return new OpenModel(config, new DummyWeights(config, type, 1));
  }

  /** Starts it on as many threads of this machine. */
  LocalExecutor start(int threads, int maxSequences, int maxBatchedTokens, int blocks) {
    int maxLength = Math.min(config.maxPositions(), blocks * BLOCK_SIZE);
    int rounded = Math.ceilDiv(config.headDim(), 16) * 16;
    long tokenBytes = 4L * config.kvHeads() * (config.headDim() + rounded);
    return LocalExecutor.start(
        new ExecutorOptions(
            Topology.SINGLE,
            maxLength,
            maxSequences,
            maxBatchedTokens,
            tokenBytes * BLOCK_SIZE * config.layers() * blocks,
            BLOCK_SIZE),
        config,
        weights,
        CpuDevice.open(threads));
  }

  @Override
  public void close() {
    weights.close();
  }
}
