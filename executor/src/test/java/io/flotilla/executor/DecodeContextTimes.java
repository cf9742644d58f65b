package io.flotilla.executor;

import io.flotilla.checkpoint.DummyWeights;
import io.flotilla.checkpoint.ElementType;
import io.flotilla.checkpoint.ModelConfig;
import io.flotilla.checkpoint.RopeScaling;
import io.flotilla.executor.StepPlan.Admission;
import io.flotilla.executor.StepPlan.SequenceStep;
import io.flotilla.executor.StepPlan.TokenInput;
import io.flotilla.executor.StepPlan.TokenInput.Known;
import io.flotilla.executor.StepPlan.TokenInput.PreviousSample;
import io.flotilla.kernels.Device;
import io.flotilla.kernels.Interconnect;
import io.flotilla.kernels.cpu.CpuDevice;
import io.flotilla.kernels.cpu.CpuInterconnect;
import io.flotilla.kernels.cpu.CpuShare;
import io.flotilla.model.sampling.SamplingParameters;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * Decoding with a long context on two ranks of one core, the shape of Qwen3-0.6B with one key-value
 * head: the ranks hold the whole cache each, or its tokens in turns. Prints what a token takes, and
 * what of it lies between the projections of attention: storing keys, attending, exchanging.
 *
 * <p>Arguments: layers, context, tokens, and {@code prefill} to compute the context first, where it
 * is else a cache of zeros.
 */
final class DecodeContextTimes {
  private static final int CHUNK = 512;
  private static final int BLOCK_SIZE = 16;

  private final ModelConfig config;
  private final int context;
  private final int tokens;
  private long entered;
  private long attention;

  private DecodeContextTimes(int layers, int context, int tokens) {
    this.config =
        new ModelConfig(
            "Qwen3ForCausalLM",
            1024,
            3072,
            layers,
            16,
            1,
            128,
            151_936,
            40_960,
            1e-6f,
            1_000_000,
            new RopeScaling.None(),
            false,
            true,
            false,
            false,
            List.of());
    this.context = context;
    this.tokens = tokens;
  }

  /** Measures both layouts in turns. */
  public static void main(String[] arguments) {
    DecodeContextTimes times =
        new DecodeContextTimes(
            Integer.parseInt(arguments[0]),
            Integer.parseInt(arguments[1]),
            Integer.parseInt(arguments[2]));
    boolean prefill = arguments.length > 3;
    for (int round = 0; round < (prefill ? 1 : 3); round++) {
      for (int decodeContext = 1; decodeContext <= 2; decodeContext++) {
        times.measure(new Topology(1, 1, 2, 1, decodeContext, false), prefill);
      }
    }
  }

  private void measure(Topology topology, boolean prefill) {
    int length = context + tokens + 1;
    int tokensPerBlock = BLOCK_SIZE * topology.decodeContext();
    long kvBytes = 4L * 2 * config.headDim() * config.layers() * (length + 2L * tokensPerBlock);
    ExecutorOptions options =
        new ExecutorOptions(
            topology, length, 1, CHUNK, kvBytes / topology.decodeContext(), BLOCK_SIZE);
    List<Device> devices = new ArrayList<>();
    List<CpuShare> shares = CpuShare.divide(2, 0, 1, false);
    devices.add(new HookedDevice(CpuDevice.open(shares.getFirst()), this::note));
    devices.add(new HookedDevice(CpuDevice.open(shares.getLast()), _ -> {}));
    Interconnect inner = new CpuInterconnect();
    try (DummyWeights weights = new DummyWeights(config, ElementType.BF16, 1);
        LocalExecutor executor =
            LocalExecutor.start(
                options,
                config,
                weights,
                devices,
                (members, messages, abort) ->
                    inner.connect(
                        members.stream().map(device -> ((HookedDevice) device).inner()).toList(),
                        messages,
                        abort))) {
      run(executor, topology, prefill);
    }
  }

  private void run(LocalExecutor executor, Topology topology, boolean prefill) {
    int[] prompt = new Random(1).ints(context, 0, config.vocabularySize()).toArray();
    Admission admission = new Admission(prompt, context, SamplingParameters.greedy());
    int[] blocks = IntStream.range(0, executor.kvBlocks()).toArray();
    long start = System.nanoTime();
    List<Integer> sampled = new ArrayList<>();
    int computed = prefill ? 0 : context - 1;
    for (int step = 0; computed < context; step++) {
      int end = Math.min(context, computed + CHUNK);
      Known known = new Known(Arrays.copyOfRange(prompt, computed, end));
      boolean first = step == 0;
      submit(executor, sampled, first ? admission : null, computed, known, first ? blocks : null);
      computed = end;
    }
    double prefillSeconds = (System.nanoTime() - start) / 1e9;
    double[] whole = new double[tokens];
    double[] attending = new double[tokens];
    for (int token = 0; token < tokens; token++) {
      attention = 0;
      long began = System.nanoTime();
      submit(executor, sampled, null, context + token, new PreviousSample(), null);
      whole[token] = (System.nanoTime() - began) / 1e6;
      attending[token] = attention / 1e6;
    }
    Arrays.sort(whole);
    Arrays.sort(attending);
    System.out.printf(
        "tp 2 dcp %d: prefill %.1f s; token %.2f ms, attention %.2f ms (medians; least %.2f, %.2f);"
            + " KV bytes a rank and token %d; tokens %s%n",
        topology.decodeContext(),
        prefillSeconds,
        whole[tokens / 2],
        attending[tokens / 2],
        whole[0],
        attending[0],
        executor.memory().kvBlock() / executor.blockSize(),
        sampled);
  }

  private void submit(
      LocalExecutor executor,
      List<Integer> sampled,
      @Nullable Admission admission,
      int computed,
      TokenInput input,
      int @Nullable [] blocks) {
    boolean sample = computed + input.count() >= context;
    SequenceStep sequence =
        new SequenceStep(
            0, admission, computed, input, blocks == null ? new int[0] : blocks, sample);
    StepPlan plan = new StepPlan(computed, List.of(sequence));
    executor.submit(plan).join().samples().forEach(next -> sampled.add(next.token()));
  }

  /** On the first rank's thread, before each operation. */
  private void note(String operation) {
    long now = System.nanoTime();
    if (operation.equals("rotateAndStore")) {
      entered = now;
    } else if (operation.equals("linear") && entered > 0) {
      attention += now - entered;
      entered = 0;
    }
  }
}
