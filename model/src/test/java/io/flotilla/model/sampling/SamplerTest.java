package io.flotilla.model.sampling;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class SamplerTest {
  private static final TokenCounts NO_COUNTS = new TokenCounts();

  @Test
  void choosesTheLikeliestAtTemperatureZeroAndTheLowerIdOfEquals() {
    assertThat(sample(new float[] {1, 3, 2, 3}, parameters().build())).isEqualTo(1);
    assertThat(sample(new float[] {-2, -1, -3}, parameters().build())).isEqualTo(1);
  }

  @Test
  void neverChoosesWhatIsNotANumber() {
    float nan = Float.NaN;
    float infinite = Float.POSITIVE_INFINITY;
    float[] logits = {nan, 1, infinite, 2, Float.NEGATIVE_INFINITY};
    assertThat(sample(logits.clone(), parameters().build())).isEqualTo(3);
    for (int seed = 0; seed < 50; seed++) {
      int token = sample(logits.clone(), parameters().temperature(9).seed(seed).build());
      assertThat(token).isIn(1, 3);
    }
  }

  @Test
  void choosesNothingWhenNoLogitIsFinite() {
    float[] logits = {Float.NaN, Float.NEGATIVE_INFINITY, Float.POSITIVE_INFINITY};
    assertThat(sample(logits.clone(), parameters().build())).isEqualTo(Sampler.NONE);
    assertThat(sample(logits, parameters().temperature(1).build())).isEqualTo(Sampler.NONE);
  }

  @ParameterizedTest
  @ValueSource(floats = {0.5f, 1f, 2f})
  void drawsFromTheSoftmaxAtTheTemperature(float temperature) {
    float[] logits = {0, 1, 2, 3, -1, 0.5f, 2.5f, 1.5f};
    SamplingParameters parameters = parameters().temperature(temperature).seed(42).build();
    double[] expected = softmax(logits, temperature);
    // 7 degrees of freedom: 24.3 is exceeded once in a thousand.
    assertThat(chiSquare(logits, parameters, expected)).isLessThan(24.3);
  }

  @Test
  void chiSquareRejectsAnotherDistribution() {
    float[] logits = {0, 1, 2, 3, -1, 0.5f, 2.5f, 1.5f};
    SamplingParameters parameters = parameters().temperature(1).seed(42).build();
    assertThat(chiSquare(logits, parameters, softmax(logits, 1.1f))).isGreaterThan(24.3);
  }

  @Test
  void drawsOfOneSeedAreIndependentFromChoiceToChoiceAndIndexToIndex() {
    float[] logits = {0, 0, 0, 0};
    int[][] pairs = new int[2][16];
    for (int i = 0; i < 16_000; i++) {
      int first = draw(logits, parameters().temperature(1).seed(7).build(), i);
      int next = draw(logits, parameters().temperature(1).seed(7).build(), i + 1);
      int other = draw(logits, parameters().temperature(1).seed(7).choice(1).build(), i);
      pairs[0][4 * first + next]++;
      pairs[1][4 * first + other]++;
    }
    for (int[] observed : pairs) {
      double statistic = 0;
      for (int count : observed) {
        statistic += (count - 1000.0) * (count - 1000.0) / 1000;
      }
      // 15 degrees of freedom: 37.7 is exceeded once in a thousand.
      assertThat(statistic).isLessThan(37.7);
    }
  }

  @Test
  void choicesAndSeedsDiffer() {
    float[] logits = new float[1000];
    Set<List<Integer>> texts = new HashSet<>();
    for (int choice = 0; choice < 4; choice++) {
      for (int seed = 0; seed < 4; seed++) {
        List<Integer> text = new ArrayList<>();
        for (int index = 0; index < 8; index++) {
          text.add(
              draw(logits, parameters().temperature(1).seed(seed).choice(choice).build(), index));
        }
        texts.add(text);
      }
    }
    assertThat(texts).hasSize(16);
  }

  @Test
  void sameKeysGiveSameTokenWhateverWasSampledBefore() {
    float[] logits = randomLogits(5000, 1);
    SamplingParameters parameters = parameters().temperature(0.8f).topP(0.9f).seed(3).build();
    Sampler used = new Sampler(5000);
    for (int i = 0; i < 20; i++) {
      used.sample(randomLogits(5000, i), parameters().temperature(1).topK(i).build(), i, NO_COUNTS);
      int fresh = new Sampler(5000).sample(logits.clone(), parameters, i, NO_COUNTS);
      assertThat(used.sample(logits.clone(), parameters, i, NO_COUNTS)).isEqualTo(fresh);
    }
  }

  @ParameterizedTest
  @CsvSource({
    "0, 1, 0",
    "5, 1, 0",
    "1, 1, 0",
    "300, 1, 0",
    "0, 0.5, 0",
    "0, 0.9, 0",
    "0, 0.999, 0",
    "0, 0.0001, 0",
    "0, 1, 0.1",
    "0, 1, 1",
    "40, 0.95, 0.05",
    "20, 0.3, 0",
    "0, 0.8, 0.01"
  })
  void filtersAsTheNaiveReferenceDoes(int topK, float topP, float minP) {
    for (int trial = 0; trial < 40; trial++) {
      float[] logits = randomLogits(257, trial);
      if (trial % 4 == 0) {
        // Ties, also across the limits.
        for (int i = 0; i < logits.length; i++) {
          logits[i] = Math.round(logits[i]);
        }
      }
      float temperature = 0.5f + trial % 3;
      SamplingParameters parameters =
          parameters()
              .temperature(temperature)
              .topK(topK)
              .topP(topP)
              .minP(minP)
              .seed(trial)
              .build();
      Set<Integer> allowed = allowed(logits, parameters);
      int expected = naiveDraw(logits, temperature, allowed, KeyedNoise.key(trial, 0, trial));
      assertThat(draw(logits, parameters, trial)).isEqualTo(expected);
    }
  }

  @Test
  void keepsTheWholeSetThatTopPReachesOverEqualLogits() {
    float[] logits = new float[1000];
    Set<Integer> seen = new HashSet<>();
    for (int seed = 0; seed < 4000; seed++) {
      seen.add(draw(logits, parameters().temperature(1).topP(0.0495f).seed(seed).build(), 0));
    }
    assertThat(seen).hasSize(50).allMatch(token -> token < 50);
  }

  @Test
  void penalisesRepetitionOverPromptAndOutputAndTheRestOverOutput() {
    TokenCounts counts = new TokenCounts();
    counts.addPrompt(0);
    counts.addPrompt(1);
    counts.addOutput(1);
    counts.addOutput(2);
    counts.addOutput(2);
    SamplingParameters parameters =
        parameters().repetition(2f).presence(0.25f).frequency(0.125f).build();
    float[] logits = {4, -4, 4, 4};
    new Sampler(4).sample(logits, parameters, 3, counts);
    assertThat(logits).containsExactly(2, -8 - 0.125f - 0.25f, 2 - 0.25f - 0.25f, 4);
  }

  @Test
  void countsManyDistinctTokens() {
    TokenCounts counts = new TokenCounts();
    float[] expected = new float[5000];
    float[] logits = new float[5000];
    Random random = new Random(5);
    for (int i = 0; i < 20_000; i++) {
      int token = random.nextInt(5000);
      counts.addOutput(token);
      expected[token]--;
    }
    counts.penalise(logits, 0, parameters().frequency(1f).build());
    assertThat(logits).containsExactly(expected);
  }

  @Test
  void addsBiasBeforePenalties() {
    TokenCounts counts = new TokenCounts();
    counts.addPrompt(1);
    float[] logits = {1, -1};
    SamplingParameters parameters = parameters().repetition(2f).bias(Map.of(1, 5f, 77, 1f)).build();
    new Sampler(2).sample(logits, parameters, 0, counts);
    assertThat(logits).containsExactly(1, 2);
  }

  @Test
  void masksStopTokensUntilEnoughWereGenerated() {
    SamplingParameters parameters = parameters().minTokens(3, List.of(1, 99)).build();
    float[] logits = {1, 5, 2};
    assertThat(draw(logits, parameters, 2)).isEqualTo(2);
    assertThat(draw(logits, parameters, 3)).isEqualTo(1);
  }

  @Test
  void reportsTheModelsOwnLogprobs() {
    float[] logits = {1, 3, 2, 3, Float.NEGATIVE_INFINITY};
    TokenLogprobs logprobs = new Sampler(5).logprobs(logits, 2, 3);
    double normaliser = Math.log(Math.exp(1) + 2 * Math.exp(3) + Math.exp(2));
    assertThat(logprobs.token()).isEqualTo(2);
    assertThat(logprobs.rank()).isEqualTo(3);
    assertThat(logprobs.logprob()).isEqualTo((float) (2 - normaliser));
    assertThat(logprobs.topTokens()).containsExactly(1, 3, 2);
    assertThat(logprobs.topLogprobs())
        .containsExactly(
            (float) (3 - normaliser), (float) (3 - normaliser), (float) (2 - normaliser));
  }

  @Test
  void noiseLiesInsideTheOpenIntervalAndBelowItsBound() {
    for (long bits : new long[] {0, 1L << 11, 1L << 12, -1L, Long.MAX_VALUE, Long.MIN_VALUE}) {
      assertThat(KeyedNoise.uniform(bits)).isGreaterThan(0).isLessThan(1);
      assertThat(KeyedNoise.gumbel(bits)).isFinite().isLessThan(KeyedNoise.MAX_GUMBEL);
    }
    Random random = new Random(1);
    for (int i = 0; i < 100_000; i++) {
      long bits = random.nextLong() >>> random.nextInt(64);
      assertThat(KeyedNoise.gumbel(bits)).isLessThanOrEqualTo(KeyedNoise.gumbelBound(bits));
    }
  }

  private static double chiSquare(
      float[] logits, SamplingParameters parameters, double[] expected) {
    int draws = 20_000;
    int[] observed = new int[logits.length];
    for (int index = 0; index < draws; index++) {
      observed[draw(logits, parameters, index)]++;
    }
    double statistic = 0;
    for (int id = 0; id < logits.length; id++) {
      double mean = draws * expected[id];
      statistic += (observed[id] - mean) * (observed[id] - mean) / mean;
    }
    return statistic;
  }

  private static Set<Integer> allowed(float[] logits, SamplingParameters parameters) {
    double[] shares = softmax(logits, parameters.temperature());
    List<Integer> order = new ArrayList<>();
    for (int id = 0; id < logits.length; id++) {
      order.add(id);
    }
    order.sort(Comparator.comparingDouble((Integer id) -> -logits[id]).thenComparing(id -> id));
    double likeliest = shares[order.getFirst()];
    order.removeIf(id -> shares[id] < parameters.minP() * likeliest * (1 - 1e-6));
    if (parameters.topK() > 0) {
      order = order.subList(0, Math.min(parameters.topK(), order.size()));
    }
    double total = order.stream().mapToDouble(id -> shares[id]).sum();
    Set<Integer> allowed = new HashSet<>();
    double sum = 0;
    for (int id : order) {
      if (parameters.topP() < 1 && sum >= parameters.topP() * total) {
        break;
      }
      allowed.add(id);
      sum += shares[id];
    }
    return allowed;
  }

  private static int naiveDraw(float[] logits, float temperature, Set<Integer> allowed, long key) {
    int best = -1;
    double bestScore = Double.NEGATIVE_INFINITY;
    for (int id : allowed.stream().sorted().toList()) {
      double score = logits[id] / temperature + KeyedNoise.gumbel(KeyedNoise.bits(key, id));
      if (score > bestScore) {
        bestScore = score;
        best = id;
      }
    }
    return best;
  }

  private static double[] softmax(float[] logits, float temperature) {
    double[] shares = new double[logits.length];
    for (int id = 0; id < logits.length; id++) {
      shares[id] = Math.exp(logits[id] / temperature);
    }
    double sum = Arrays.stream(shares).sum();
    return Arrays.stream(shares).map(share -> share / sum).toArray();
  }

  private static float[] randomLogits(int size, int seed) {
    Random random = new Random(seed);
    float[] logits = new float[size];
    for (int id = 0; id < size; id++) {
      logits[id] = (float) random.nextGaussian() * 3;
    }
    return logits;
  }

  private static int sample(float[] logits, SamplingParameters parameters) {
    return new Sampler(logits.length).sample(logits, parameters, 0, NO_COUNTS);
  }

  private static int draw(float[] logits, SamplingParameters parameters, int index) {
    return new Sampler(logits.length).sample(logits.clone(), parameters, index, NO_COUNTS);
  }

  private static ParametersBuilder parameters() {
    return new ParametersBuilder();
  }
}
