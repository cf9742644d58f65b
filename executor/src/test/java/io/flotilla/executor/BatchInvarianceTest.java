package io.flotilla.executor;

import static org.assertj.core.api.Assertions.assertThat;

import io.flotilla.executor.RandomSchedule.Counts;
import io.flotilla.executor.StepPlan.SequenceStep;
import io.flotilla.executor.StepResult.Sample;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * A sequence's tokens and log-probabilities are those it would get alone, to the bit: whatever is
 * in the batch, however its prompt is cut, whatever of it is found in the cache or computed again,
 * and on however many threads.
 */
class BatchInvarianceTest {
  private static final int MAX_SEQUENCES = 64;

  @ParameterizedTest
  @ValueSource(strings = {"tiny-qwen3", "tiny-yarn", "dummy-q8_0", "dummy-q4_0"})
  void everyChunkSizeOfAPromptYieldsTheSameBits(String name) {
    int length = 50;
    try (OpenModel model = OpenModel.open(name);
        LocalExecutor one = model.start(1, 1, length, 4);
        LocalExecutor two = model.start(2, 1, length, 4)) {
      int[] prompt = new Random(3).ints(length, 0, model.config().vocabularySize()).toArray();
      Request request = new Request(prompt, 3, Samplings.greedy(10, 10));
      Scores expected = Lockstep.alone(one, request);
      assertThat(expected.prompt()).hasSize(length - 1);
      for (int chunk = 1; chunk <= length; chunk++) {
        for (LocalExecutor executor : List.of(one, two)) {
          assertThat(Lockstep.run(executor, List.of(request), chunk))
              .as("chunks of %d", chunk)
              .containsExactly(expected);
        }
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"tiny-llama3", "dummy-q4_1", "dummy-q4_k"})
  void everyBatchSizeYieldsTheSameBits(String name) {
    int longest = 7;
    int outputs = 3;
    int batched = MAX_SEQUENCES * longest;
    try (OpenModel model = OpenModel.open(name);
        LocalExecutor one = model.start(1, MAX_SEQUENCES, batched, MAX_SEQUENCES);
        LocalExecutor two = model.start(2, MAX_SEQUENCES, batched, MAX_SEQUENCES)) {
      List<Request> requests =
          Request.random(
              new Random(4), MAX_SEQUENCES, model.config().vocabularySize(), longest, outputs, 10);
      List<Scores> expected = alone(one, requests);
      for (int size = 1; size <= MAX_SEQUENCES; size++) {
        LocalExecutor executor = size % 2 == 0 ? one : two;
        assertThat(Lockstep.run(executor, requests.subList(0, size), longest))
            .as("a batch of %d", size)
            .isEqualTo(expected.subList(0, size));
      }
    }
  }

  @ParameterizedTest
  @CsvSource({
    "tiny-llama3, 64, 90, 12",
    "tiny-qwen2,  64, 90, 12",
    "tiny-qwen3,  64, 90, 12",
    "tiny-yarn,   64, 90, 12",
    "dummy-bf16,  24, 40, 4",
    "dummy-q8_0,  24, 40, 4",
    "dummy-q4_0,  24, 40, 4",
    "dummy-q6_k,  24, 40, 4",
    "pocket,      16, 40, 2"
  })
  void everySequenceGetsTheBitsItWouldGetAlone(String name, int count, int longest, int runs) {
    int outputs = 6;
    int batched = 4 * longest;
    int blocks = count * Math.ceilDiv(longest + outputs, OpenModel.BLOCK_SIZE);
    Counts counts = new Counts();
    try (OpenModel model = OpenModel.open(name);
        LocalExecutor one = model.start(1, count, batched, blocks);
        LocalExecutor two = model.start(2, count, batched, blocks)) {
      int vocabulary = model.config().vocabularySize();
      List<Request> requests =
          Request.random(new Random(5), count, vocabulary, longest, outputs, 20);
      List<Scores> expected = alone(one, requests);
      for (int seed = 0; seed < runs; seed++) {
        Random random = new Random(seed);
        LocalExecutor executor = seed % 2 == 0 ? two : one;
        // Now and then fewer blocks than the sequences would like to have.
        int used = blocks / (1 + random.nextInt(4));
        RandomSchedule schedule =
            new RandomSchedule(executor, used, 1 + random.nextInt(batched), random);
        assertSame(expected, schedule.run(requests), "with seed " + seed);
        counts.add(schedule.counts());
      }
    }
    // The runs must reach what they are there for.
    assertThat(counts.preemptions).isGreaterThan(runs);
    assertThat(counts.prefixHits).isGreaterThan(runs);
    assertThat(counts.chunks).isGreaterThan(runs);
    assertThat(counts.largestBatch).isGreaterThan(count / 4);
  }

  @Test
  void sequencesOfOneStepShareABlockThatOneOfThemFills() {
    try (OpenModel model = OpenModel.open("tiny-qwen3");
        LocalExecutor executor = model.start(2, 2, 100, 8)) {
      int[] prompt = new Random(6).ints(40, 0, model.config().vocabularySize()).toArray();
      Request request = new Request(prompt, 1, Samplings.greedy(10, -1));
      Scores expected = Lockstep.alone(executor, request);
      BlockPool pool = new BlockPool(new Random(7), executor.kvBlocks());
      RunningSequence first = new RunningSequence(request, OpenModel.BLOCK_SIZE);
      RunningSequence second = new RunningSequence(request, OpenModel.BLOCK_SIZE);
      first.enter(0, pool, true);
      SequenceStep whole = first.plan(40, pool, false);
      assertThat(second.enter(1, pool, true)).isEqualTo(32);
      SequenceStep rest = second.plan(8, pool, false);
      // The one that reads comes before the one that writes.
      StepPlan plan = new StepPlan(100, List.of(rest, whole));
      List<Sample> samples = executor.submit(plan).join().samples();
      second.apply(samples.get(0));
      first.apply(samples.get(1));
      assertThat(List.of(first.scores(), second.scores())).containsOnly(expected);
    }
  }

  private static List<Scores> alone(LocalExecutor executor, List<Request> requests) {
    List<Scores> scores = new ArrayList<>();
    for (Request request : requests) {
      scores.add(Lockstep.alone(executor, request));
    }
    return scores;
  }

  /** What a prefix hit left out was not scored; everything else must be the same. */
  private static void assertSame(List<Scores> expected, List<Scores> actual, String run) {
    for (int i = 0; i < expected.size(); i++) {
      assertThat(actual.get(i).outputs())
          .as("%s, request %d", run, i)
          .isEqualTo(expected.get(i).outputs());
      assertThat(expected.get(i).prompt())
          .as("%s, prompt of request %d", run, i)
          .containsAllEntriesOf(actual.get(i).prompt());
    }
  }
}
