package io.flotilla.executor;

import static org.assertj.core.api.Assertions.assertThat;

import io.flotilla.checkpoint.Checkpoint;
import io.flotilla.executor.StepDriver.Generated;
import io.flotilla.executor.StepDriver.Request;
import io.flotilla.model.sampling.SamplingParameters;
import io.flotilla.model.sampling.TokenLogprobs;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Every layout gives one rank's logits within 1e-4 and its tokens, whatever runs together; and in
 * one layout company, chunks, prefixes and preemption change nothing, to the bit.
 */
@Timeout(300)
class LayoutOracleTest {
  private static final float TOLERANCE = 1e-4f;
  private static final int TOKENS = 12;

  @ParameterizedTest
  @CsvSource({
    "1,2", "1,3", "1,4", "1,8", "2,1", "2,2", "2,3", "2,4", "4,1", "4,2", "8,1",
  })
  void pocketGivesTheLogitsOfOneRank(int tensor, int pipeline) {
    try (TinyModel model = TinyModel.pocket()) {
      Topology topology = new Topology(1, pipeline, tensor, 1, 1, false);
      compareWithOneRank(model, topology, 31L * tensor + pipeline);
    }
  }

  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12})
  void randomModelsGiveTheLogitsOfOneRank(long seed) {
    Random random = new Random(seed);
    int tensor = 1 << random.nextInt(4);
    int pipeline = Math.min(8 / tensor, 1 + random.nextInt(4));
    try (TinyModel model = TinyModel.random(random, tensor)) {
      compareWithOneRank(model, new Topology(1, pipeline, tensor, 1, 1, false), seed);
    }
  }

  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12})
  void mixturesOfExpertsGiveTheLogitsOfOneRank(long seed) {
    Random random = new Random(seed);
    int tensor = 1 << random.nextInt(4);
    int pipeline = Math.min(8 / tensor, 1 + random.nextInt(4));
    Topology topology = new Topology(1, pipeline, tensor, 1, 1, seed % 3 > 0);
    try (TinyModel model = TinyModel.randomMixture(random, tensor)) {
      compareWithOneRank(model, topology, seed);
    }
  }

  @ParameterizedTest(name = "tp {0}, pp {1}, pcp {2}, dcp {3}")
  @CsvSource({
    "2,1,1,2", "4,1,1,2", "4,1,1,4", "8,1,1,4", "2,2,1,2", "4,2,1,4", "1,1,2,1", "1,1,4,1",
    "2,1,2,1", "1,2,2,1", "2,2,2,1", "2,1,4,1", "1,2,4,1", "2,1,2,2", "2,2,2,2", "4,1,2,4",
  })
  void sharedContextGivesTheLogitsOfOneRank(int tensor, int pipeline, int prefill, int decode) {
    Topology topology = new Topology(1, pipeline, tensor, prefill, decode, false);
    Random random = new Random(topology.hashCode());
    try (TinyModel model = TinyModel.random(random, tensor, kvHeads(topology, random))) {
      compareWithOneRank(model, topology, topology.hashCode());
    }
  }

  @ParameterizedTest(name = "tp {0}, pp {1}, pcp {2}, dcp {3}, experts {4}")
  @CsvSource({
    "1,1,2,1,true",
    "1,1,4,1,true",
    "2,1,2,1,true",
    "1,1,2,1,false",
    "2,2,2,1,true",
    "2,1,2,2,true",
    "2,1,4,2,true",
    "4,1,2,2,true",
    "2,1,2,1,false",
  })
  void mixturesOverSharedContextGiveTheLogitsOfOneRank(
      int tensor, int pipeline, int prefill, int decode, boolean experts) {
    Topology topology = new Topology(1, pipeline, tensor, prefill, decode, experts);
    Random random = new Random(topology.hashCode());
    try (TinyModel model = TinyModel.randomMixture(random, tensor, kvHeads(topology, random))) {
      compareWithOneRank(model, topology, topology.hashCode());
    }
  }

  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12})
  void drawnLayoutsGiveTheLogitsOfOneRank(long seed) {
    Random random = new Random(seed);
    Topology topology = draw(random);
    int kvHeads = kvHeads(topology, random);
    try (TinyModel model =
        topology.expertParallel()
            ? TinyModel.randomMixture(random, topology.tensor(), kvHeads)
            : TinyModel.random(random, topology.tensor(), kvHeads)) {
      compareWithOneRank(model, topology, seed);
    }
  }

  /** A layout of at most 8 ranks, some of which share a context. */
  private static Topology draw(Random random) {
    int tensor = 1 << random.nextInt(4);
    int prefill = Math.min(8 / tensor, 1 << random.nextInt(3));
    int decode = Math.min(tensor, 1 << random.nextInt(3));
    int pipeline = 1 + random.nextInt(8 / (tensor * prefill));
    return prefill * decode == 1
        ? draw(random)
        : new Topology(1, pipeline, tensor, prefill, decode, random.nextInt(3) == 0);
  }

  @ParameterizedTest
  @CsvSource({"1,1,2,1", "1,2,4,1", "2,1,2,2"})
  void sharingOutRowsChangesNoBit(int tensor, int pipeline, int prefill, int decode) {
    Topology shared = new Topology(1, pipeline, tensor, prefill, decode, false);
    Topology whole = new Topology(1, pipeline, tensor, 1, decode, false);
    Random random = new Random(shared.hashCode());
    try (TinyModel model = TinyModel.random(random, tensor, kvHeads(shared, random));
        LocalExecutor one = model.start(TinyModel.options(whole, List.of()));
        LocalExecutor many = model.start(TinyModel.options(shared, List.of()))) {
      List<Request> requests = requests(model, random);
      List<Generated> expected = StepDriver.run(one, requests, 7);
      assertThat(StepDriver.run(many, requests, 8)).usingRecursiveComparison().isEqualTo(expected);
    }
  }

  /** Nine heads, three of keys and values, in four bits. */
  @Test
  @SuppressWarnings("MustBeClosedChecker") // Closed with the model.
  void smollm2OnThreeRanksGivesTheLogitsOfOne() {
    Checkpoint checkpoint = Checkpoint.open(ModelFiles.path("smollm2"));
    try (TinyModel model = new TinyModel("smollm2", checkpoint.config(), checkpoint);
        LocalExecutor one = model.start(1, 1);
        LocalExecutor three = model.start(3, 1)) {
      int[] prompt = new Random(5).ints(24, 0, model.config().vocabularySize()).toArray();
      int scored = model.config().vocabularySize();
      List<Request> requests =
          List.of(new Request(prompt, TOKENS, sampling(0, 0, 1, 1, scored, scored)));
      Generated expected = StepDriver.run(one, requests, 1).getFirst();
      compare("smollm2", expected, StepDriver.run(three, requests, 2).getFirst());
    }
  }

  /** As many that so many ranks can hold the tokens of each. */
  private static int kvHeads(Topology topology, Random random) {
    int most = topology.decodeContext() == 1 ? 8 : topology.tensor() / topology.decodeContext();
    return 1 << random.nextInt(Integer.numberOfTrailingZeros(most) + 1);
  }

  @ParameterizedTest
  @CsvSource({
    "2,1,1,1,false",
    "1,3,1,1,false",
    "2,2,1,1,true",
    "8,1,1,1,true",
    "2,1,1,2,false",
    "1,1,2,1,false",
    "2,1,2,2,false",
    "2,1,2,1,true",
  })
  void companyChangesNoBit(int tensor, int pipeline, int prefill, int decode, boolean experts) {
    Topology topology = new Topology(1, pipeline, tensor, prefill, decode, experts);
    Random random = new Random(topology.hashCode());
    int kvHeads = kvHeads(topology, random);
    try (TinyModel model =
            experts
                ? TinyModel.randomMixture(random, tensor, kvHeads)
                : TinyModel.random(random, tensor, kvHeads);
        LocalExecutor executor = model.start(TinyModel.options(topology, List.of()))) {
      List<Request> requests = requests(model, random);
      List<Generated> together = StepDriver.run(executor, requests, 5);
      for (int i = 0; i < requests.size(); i++) {
        Generated alone = StepDriver.run(executor, List.of(requests.get(i)), 6 + i).getFirst();
        assertThat(together.get(i).tokens()).containsExactly(alone.tokens());
        for (int token = 0; token < alone.samples().size(); token++) {
          assertThat(together.get(i).samples().get(token).logprobs())
              .usingRecursiveComparison()
              .isEqualTo(alone.samples().get(token).logprobs());
        }
        assertThat(together.get(i).prompt()).usingRecursiveComparison().isEqualTo(alone.prompt());
      }
    }
  }

  private static void compareWithOneRank(TinyModel model, Topology topology, long seed) {
    String name = model.name() + ", " + topology;
    try (LocalExecutor one = model.start(1, 1);
        LocalExecutor many = model.start(TinyModel.options(topology, List.of()))) {
      List<Request> requests = requests(model, new Random(seed));
      List<Generated> expected = StepDriver.run(one, requests, seed);
      List<Generated> actual = StepDriver.run(many, requests, seed + 1);
      for (int i = 0; i < requests.size(); i++) {
        compare(name + ", request " + i, expected.get(i), actual.get(i));
      }
    }
  }

  private static void compare(String name, Generated expected, Generated actual) {
    assertThat(actual.prompt()).as(name).hasSameSizeAs(expected.prompt());
    for (int i = 0; i < expected.prompt().size(); i++) {
      compare(name + ", prompt " + i, expected.prompt().get(i), actual.prompt().get(i));
    }
    int[] tokens = expected.tokens();
    for (int i = 0; i < tokens.length; i++) {
      TokenLogprobs wanted = expected.samples().get(i).logprobs();
      TokenLogprobs found = actual.samples().get(i).logprobs();
      if (wanted != null && found != null) {
        compare(name + ", token " + i, wanted, found);
        if (wanted.topLogprobs()[0] - wanted.topLogprobs()[1] < 2 * TOLERANCE) {
          return; // A tie, as far as layouts can tell: from here on the texts may differ.
        }
      }
      assertThat(actual.samples().get(i).token()).as("%s, token %d", name, i).isEqualTo(tokens[i]);
    }
  }

  private static void compare(String name, TokenLogprobs expected, TokenLogprobs actual) {
    float[] wanted = byId(expected);
    float[] found = byId(actual);
    assertThat(found).as(name).hasSameSizeAs(wanted);
    for (int id = 0; id < wanted.length; id++) {
      assertThat(Math.abs(found[id] - wanted[id])).as("%s, id %d", name, id).isLessThan(TOLERANCE);
    }
  }

  private static float[] byId(TokenLogprobs scores) {
    float[] logprobs = new float[scores.topTokens().length];
    for (int i = 0; i < logprobs.length; i++) {
      logprobs[scores.topTokens()[i]] = scores.topLogprobs()[i];
    }
    return logprobs;
  }

  /** One of each way to choose a token; the first two with all logits, and with equal prefixes. */
  private static List<Request> requests(TinyModel model, Random random) {
    int vocabulary = model.config().vocabularySize();
    int[] prompt = random.ints(20 + random.nextInt(64), 0, vocabulary).toArray();
    int[] other = Arrays.copyOf(prompt, prompt.length);
    other[prompt.length - 1 - random.nextInt(4)] = random.nextInt(vocabulary);
    List<Request> requests = new ArrayList<>();
    requests.add(new Request(prompt, TOKENS, sampling(0, 0, 1, 1, vocabulary, vocabulary)));
    requests.add(new Request(other, TOKENS, sampling(0, 0, 1, 1.3f, vocabulary, -1)));
    requests.add(new Request(other, TOKENS, sampling(0, 0, 1, 1.2f, -1, -1)));
    requests.add(
        switch (random.nextInt(4)) {
          case 0 -> new Request(prompt, TOKENS, sampling(0.8f, 0, 1, 1.1f, -1, -1));
          case 1 -> new Request(prompt, TOKENS, sampling(1.5f, 7, 0.9f, 1.1f, -1, -1));
          case 2 -> new Request(prompt, TOKENS, sampling(0.9f, 0, 0.8f, 1, -1, -1));
          default -> new Request(prompt, TOKENS, sampling(1, 50, 1, 1, -1, -1));
        });
    return requests;
  }

  private static SamplingParameters sampling(
      float temperature, int topK, float topP, float penalty, int logprobs, int promptLogprobs) {
    return new SamplingParameters(
        temperature,
        topK,
        topP,
        0,
        penalty,
        0.1f,
        0.1f,
        Map.of(3, 0.5f),
        99,
        1,
        2,
        List.of(5),
        logprobs,
        promptLogprobs);
  }
}
