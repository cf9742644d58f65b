package io.flotilla.executor;

import io.flotilla.checkpoint.DummyWeights;
import io.flotilla.checkpoint.ElementType;
import io.flotilla.checkpoint.ModelConfig;
import io.flotilla.checkpoint.RopeScaling;
import io.flotilla.executor.StepPlan.Admission;
import io.flotilla.executor.StepPlan.SequenceStep;
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

/**
 * Decoding with a long context on two ranks of one core, the shape of Qwen3-0.6B with one key-value
 * head: the ranks hold the whole cache each, or its tokens in turns. Prints what a token takes, and
 * what of it lies between the projections of attention: storing keys, attending, exchanging.
 *
 * <p>Arguments: layers, context, tokens. The context is computed first: reading memory that was
 * never written costs nothing on Linux.
 */
final class DecodeContextTimes {
  private static final int CHUNK = 512;
  private static final int BLOCK_SIZE = 16;

  private final ModelConfig config;
  private final int context;
  private final int tokens;

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

  /** Measures both layouts token by token in turns. */
  public static void main(String[] arguments) {
    DecodeContextTimes times =
        new DecodeContextTimes(
            Integer.parseInt(arguments[0]),
            Integer.parseInt(arguments[1]),
            Integer.parseInt(arguments[2]));
    times.measure();
  }

  private void measure() {
    try (DummyWeights weights = new DummyWeights(config, ElementType.BF16, 1);
        Layouted whole = new Layouted(weights, 1);
        Layouted spread = new Layouted(weights, 2)) {
      List<Layouted> both = List.of(whole, spread);
      both.forEach(Layouted::fill);
      for (int token = 0; token < tokens; token++) {
        for (Layouted layout : token % 2 == 0 ? both : both.reversed()) {
          layout.decode(token);
        }
      }
      both.forEach(Layouted::print);
      double[] ratios = new double[tokens];
      double[] attentions = new double[tokens];
      for (int token = 0; token < tokens; token++) {
        ratios[token] = spread.whole[token] / whole.whole[token];
        attentions[token] = spread.attending[token] / whole.attending[token];
      }
      System.out.printf(
          "dcp 2 over dcp 1, median of pairs: token %.3f, attention %.3f; same tokens: %s%n",
          median(ratios), median(attentions), spread.sampled.equals(whole.sampled));
    }
  }

  private static double median(double[] values) {
    double[] sorted = values.clone();
    Arrays.sort(sorted);
    return sorted[sorted.length / 2];
  }

  /** An executor in one layout, with a sequence in it. */
  private final class Layouted implements AutoCloseable {
    private final int decodeContext;
    private final LocalExecutor executor;
    private final List<Integer> sampled = new ArrayList<>();
    private final double[] whole = new double[tokens];
    private final double[] attending = new double[tokens];
    private double fillSeconds;
    private long entered;
    private long attention;

    Layouted(DummyWeights weights, int decodeContext) {
      this.decodeContext = decodeContext;
      Topology topology = new Topology(1, 1, 2, 1, decodeContext, false);
      int length = context + tokens + 1;
      long tokenBytes = 4L * 2 * config.headDim() * config.layers();
      long kvBytes = tokenBytes * (length / decodeContext + 2L * BLOCK_SIZE);
      List<CpuShare> shares = CpuShare.divide(2, 0, 1, false);
      List<Device> devices =
          List.of(
              new HookedDevice(CpuDevice.open(shares.getFirst()), this::note),
              new HookedDevice(CpuDevice.open(shares.getLast()), _ -> {}));
      Interconnect inner = new CpuInterconnect();
      this.executor =
          LocalExecutor.start(
              new ExecutorOptions(topology, length, 1, CHUNK, kvBytes, BLOCK_SIZE),
              config,
              weights,
              devices,
              (members, messages, abort) ->
                  inner.connect(
                      members.stream().map(device -> ((HookedDevice) device).inner()).toList(),
                      messages,
                      abort));
    }

    /** Puts the context into the cache. */
    void fill() {
      int[] prompt = new Random(1).ints(context, 0, config.vocabularySize()).toArray();
      Admission admission = new Admission(prompt, context, SamplingParameters.greedy());
      int most = Math.ceilDiv(context + tokens + 1, executor.blockSize());
      int[] blocks = IntStream.range(0, most).toArray();
      long start = System.nanoTime();
      for (int computed = 0; computed < context; computed += CHUNK) {
        int end = Math.min(context, computed + CHUNK);
        Known known = new Known(Arrays.copyOfRange(prompt, computed, end));
        boolean enters = computed == 0;
        submit(
            new SequenceStep(
                0,
                enters ? admission : null,
                computed,
                known,
                enters ? blocks : new int[0],
                end == context));
      }
      fillSeconds = (System.nanoTime() - start) / 1e9;
    }

    void decode(int token) {
      attention = 0;
      long began = System.nanoTime();
      submit(new SequenceStep(0, null, context + token, new PreviousSample(), new int[0], true));
      whole[token] = (System.nanoTime() - began) / 1e6;
      attending[token] = attention / 1e6;
    }

    private void submit(SequenceStep sequence) {
      StepPlan plan = new StepPlan(sequence.computed(), List.of(sequence));
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

    void print() {
      System.out.printf(
          "tp 2 dcp %d: context %.1f s; token %.2f ms, attention %.2f ms (medians);"
              + " KV bytes a rank and token %d%n",
          decodeContext,
          fillSeconds,
          median(whole),
          median(attending),
          executor.memory().kvBlock() / executor.blockSize());
    }

    @Override
    public void close() {
      executor.close();
    }
  }
}
