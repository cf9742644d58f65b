package io.flotilla.executor;

import io.flotilla.checkpoint.Checkpoint;
import io.flotilla.checkpoint.ModelConfig;
import io.flotilla.executor.StepPlan.Admission;
import io.flotilla.executor.StepPlan.SequenceStep;
import io.flotilla.executor.StepPlan.TokenInput.Known;
import io.flotilla.kernels.KvCache;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import io.flotilla.kernels.cpu.CpuDevice;
import io.flotilla.model.Architectures;
import io.flotilla.model.CausalLm;
import io.flotilla.model.ModelLimits;
import io.flotilla.model.StageInput.Activations;
import io.flotilla.model.StageInput.Ids;
import io.flotilla.model.StageSlice;
import io.flotilla.model.layer.ShardLoader;
import io.flotilla.model.layer.TensorParallel;
import io.flotilla.model.sampling.SamplingParameters;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;

/** A model without an executor around it, for the logits that an executor keeps to itself. */
final class SingleSequence implements AutoCloseable {
  private static final int BLOCK_SIZE = 16;

  private final Arena arena = Arena.ofConfined();
  private final CpuDevice device;
  private final Stream stream;
  private final CausalLm model;
  private final List<KvCache> caches = new ArrayList<>();
  private final StepBatch batch;
  private final StagedIntegers lastRow;
  private final int blocks;

  /**
   * @param maxTokens of a prompt
   */
  SingleSequence(Checkpoint checkpoint, int threads, int maxTokens) {
    ModelConfig config = checkpoint.config();
    ExecutorOptions options =
        new ExecutorOptions(Topology.SINGLE, maxTokens, 1, maxTokens, 1, BLOCK_SIZE);
    device = CpuDevice.open(threads);
    stream = device.openStream();
    ShardLoader loader = new ShardLoader(checkpoint, device, stream, TensorParallel.SINGLE);
    model =
        Architectures.load(
            config, loader, new ModelLimits(StageSlice.whole(config), maxTokens, maxTokens, 1));
    blocks = options.blocksPerSequence();
    for (int layer = 0; layer < config.layers(); layer++) {
      caches.add(device.allocateKvCache(model.attention(), blocks, BLOCK_SIZE));
    }
    batch = new StepBatch(device, arena, options);
    lastRow = new StagedIntegers(device, arena, 1);
  }

  /** The logits that follow a prompt. */
  float[] logits(int[] prompt) {
    Admission admission = new Admission(prompt, prompt.length, SamplingParameters.greedy());
    Slot slot = new Slot();
    slot.admit(admission);
    slot.appendBlocks(IntStream.range(0, blocks).toArray());
    SequenceStep step = new SequenceStep(0, admission, 0, new Known(prompt), new int[0], true);
    StepBatch.Uploaded rows = batch.upload(stream, List.of(step), new Slot[] {slot});
    Activations activations = model.forward(stream, new Ids(rows.ids()), rows.rows(), caches);
    lastRow.set(0, prompt.length - 1);
    Tensor logits = model.logits(stream, activations, lastRow.upload(stream, 1, 1));
    MemorySegment host = arena.allocate(ValueLayout.JAVA_FLOAT, logits.columns());
    stream.download(logits.buffer(), host);
    stream.synchronize();
    return host.toArray(ValueLayout.JAVA_FLOAT);
  }

  @Override
  public void close() {
    stream.close();
    device.close();
    arena.close();
  }
}
