package io.flotilla.executor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.flotilla.checkpoint.Checkpoint;
import io.flotilla.executor.StepPlan.Admission;
import io.flotilla.executor.StepPlan.SequenceStep;
import io.flotilla.executor.StepPlan.TokenInput;
import io.flotilla.executor.StepPlan.TokenInput.Known;
import io.flotilla.executor.StepPlan.TokenInput.PreviousSample;
import io.flotilla.executor.StepResult.PromptLogprobs;
import io.flotilla.kernels.cpu.CpuDevice;
import io.flotilla.model.sampling.TokenLogprobs;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Every architecture computes what Hugging Face transformers computes in float32. */
class TransformersGoldenTest {
  private static final double TOLERANCE = 1e-3;
  private static final int THREADS = 2;
  private static final int BLOCK_SIZE = 16;

  @ParameterizedTest
  @ValueSource(
      strings = {
        "tiny-llama3",
        "tiny-qwen2",
        "tiny-qwen3",
        "tiny-yarn",
        "tiny-mixtral",
        "tiny-qwen3-moe",
        "pocket",
        "smollm2"
      })
  void logitsAfterEachPromptAreThoseOfTransformers(String model) {
    List<Golden> goldens = Golden.read(model);
    assertThat(goldens).hasSize(8);
    try (Checkpoint checkpoint = Checkpoint.open(ModelFiles.path(model));
        SingleSequence sequence = new SingleSequence(checkpoint, THREADS, longest(goldens))) {
      for (Golden golden : goldens) {
        float[] logits = sequence.logits(golden.prompt());
        golden
            .logits()
            .forEach(
                (id, expected) ->
                    assertThat((double) logits[id])
                        .as("logit of %d after %s", id, Arrays.toString(golden.prompt()))
                        .isCloseTo(expected, within(TOLERANCE)));
      }
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "tiny-llama3",
        "tiny-qwen2",
        "tiny-qwen3",
        "tiny-yarn",
        "tiny-mixtral",
        "tiny-qwen3-moe",
        "pocket",
        "smollm2"
      })
  void promptsAreScoredAndContinuedAsTransformersDoes(String model) {
    List<Golden> goldens = Golden.read(model);
    int certain = 0;
    try (Checkpoint checkpoint = Checkpoint.open(ModelFiles.path(model));
        LocalExecutor executor = start(checkpoint, goldens)) {
      assertPromptLogprobs(goldens, prefill(executor, goldens));
      List<List<Integer>> tokens = decode(executor, goldens);
      for (int i = 0; i < goldens.size(); i++) {
        Golden golden = goldens.get(i);
        int count = golden.certainTokens(TOLERANCE);
        assertThat(tokens.get(i).subList(0, count))
            .as("tokens after %s", Arrays.toString(golden.prompt()))
            .isEqualTo(Arrays.stream(golden.greedy()).limit(count).boxed().toList());
        certain += count;
      }
    }
    // Few continuations may be cut short where the two best logits are too close to tell.
    assertThat(certain).isGreaterThan(400);
  }

  private static LocalExecutor start(Checkpoint checkpoint, List<Golden> goldens) {
    int batched = goldens.stream().mapToInt(golden -> golden.prompt().length).sum();
    int blocks = goldens.size() * Math.ceilDiv(longest(goldens), BLOCK_SIZE);
    // As much cache as these sequences need, and no more.
    long needed = (long) blocks * checkpoint.config().layers() * blockBytes(checkpoint);
    return LocalExecutor.start(
        new ExecutorOptions(
            Topology.SINGLE, longest(goldens), goldens.size(), batched, needed, BLOCK_SIZE),
        checkpoint.config(),
        checkpoint,
        CpuDevice.open(THREADS));
  }

  private static long blockBytes(Checkpoint checkpoint) {
    int kvHeads = checkpoint.config().kvHeads();
    int rounded = Math.ceilDiv(checkpoint.config().headDim(), 16) * 16;
    return 2L * kvHeads * rounded * BLOCK_SIZE * Float.BYTES;
  }

  private static int longest(List<Golden> goldens) {
    return goldens.stream()
        .mapToInt(golden -> golden.prompt().length + golden.greedy().length)
        .max()
        .orElseThrow();
  }

  /** Computes all prompts in one step. */
  private static StepResult prefill(LocalExecutor executor, List<Golden> goldens) {
    int blocks = Math.ceilDiv(longest(goldens), BLOCK_SIZE);
    List<SequenceStep> steps = new ArrayList<>();
    for (int slot = 0; slot < goldens.size(); slot++) {
      int[] prompt = goldens.get(slot).prompt();
      Admission admission = new Admission(prompt, prompt.length, Samplings.greedy(-1, 0));
      int[] table = IntStream.range(slot * blocks, (slot + 1) * blocks).toArray();
      steps.add(new SequenceStep(slot, admission, 0, new Known(prompt), table, false));
    }
    return executor.submit(new StepPlan(0, steps)).join();
  }

  private static void assertPromptLogprobs(List<Golden> goldens, StepResult result) {
    for (PromptLogprobs scored : result.promptLogprobs()) {
      double[] expected = goldens.get(scored.slot()).promptLogprobs();
      double[] actual = scored.tokens().stream().mapToDouble(TokenLogprobs::logprob).toArray();
      assertThat(actual).containsExactly(expected, within(TOLERANCE));
    }
    assertThat(result.promptLogprobs())
        .hasSize((int) goldens.stream().filter(golden -> golden.prompt().length > 1).count());
  }

  /**
   * Computes the last token of each prompt again, and then every sequence token by token; no step
   * waits for the one before.
   */
  private static List<List<Integer>> decode(LocalExecutor executor, List<Golden> goldens) {
    List<StepPlan> plans = new ArrayList<>();
    for (int i = 0; i < goldens.getFirst().greedy().length; i++) {
      List<SequenceStep> steps = new ArrayList<>();
      for (int slot = 0; slot < goldens.size(); slot++) {
        int[] prompt = goldens.get(slot).prompt();
        int position = prompt.length - 1 + i;
        TokenInput input = i == 0 ? new Known(new int[] {prompt[position]}) : new PreviousSample();
        steps.add(new SequenceStep(slot, null, position, input, new int[0], true));
      }
      plans.add(new StepPlan(i + 1, steps));
    }
    List<List<Integer>> tokens = new ArrayList<>();
    goldens.forEach(_ -> tokens.add(new ArrayList<>()));
    plans.stream()
        .map(executor::submit)
        .toList()
        .forEach(
            result ->
                result
                    .join()
                    .samples()
                    .forEach(sample -> tokens.get(sample.slot()).add(sample.token())));
    return tokens;
  }
}
