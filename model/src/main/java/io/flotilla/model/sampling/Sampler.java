package io.flotilla.model.sampling;

import java.util.Map;

/**
 * Chooses the next token of a sequence from its logits. In order: logit bias, penalties, the mask
 * of stop tokens; then the likeliest when temperature is 0, else temperature, min-p, top-k, top-p
 * and a draw by the Gumbel-max trick with {@link KeyedNoise}. Ids of bias and stop tokens outside
 * the vocabulary have no effect.
 *
 * <p>A sampler may hold a part of the vocabulary: {@link #adjust} and {@link #choose} then concern
 * that part, and of the parts' choices the one with the highest {@link #score}, the lowest id among
 * equals, is what a sampler of the whole vocabulary chooses, provided that neither top-k nor top-p
 * filters.
 *
 * <p>Holds scratch memory for one row; used by one thread.
 */
public final class Sampler {
  /** No logit was a number to choose by. */
  public static final int NONE = -1;

  private final int firstId;
  private final Candidates candidates;
  private double score;

  public Sampler(int vocabularySize) {
    this(0, vocabularySize);
  }

  /**
   * A sampler of a part of the vocabulary.
   *
   * @param firstId the id of the first logit of a row
   * @param count logits of a row
   */
  public Sampler(int firstId, int count) {
    this.firstId = firstId;
    this.candidates = new Candidates(count);
  }

  /**
   * Samples a token.
   *
   * @param logits one for each id of the vocabulary; changed. NaN and infinities are never chosen
   * @param index of the token in the sequence's output, from 0
   * @param counts of the sequence so far; read only when the parameters {@link #penalises}
   * @return the id, or {@link #NONE} when no logit is finite
   */
  public int sample(float[] logits, SamplingParameters parameters, int index, TokenCounts counts) {
    adjust(logits, parameters, index, counts);
    return choose(logits, largestFinite(logits), parameters, index);
  }

  /**
   * Chooses from adjusted logits.
   *
   * @param largest of all logits, of other parts of the vocabulary too when there is a temperature,
   *     of this row when there is none
   * @return the id, or {@link #NONE} when {@code largest} is not finite or nothing is left
   */
  public int choose(float[] logits, float largest, SamplingParameters parameters, int index) {
    score = Double.NEGATIVE_INFINITY;
    if (largest == Float.NEGATIVE_INFINITY) {
      return NONE;
    }
    if (parameters.temperature() == 0) {
      score = largest;
      return firstId + indexOf(logits, largest);
    }
    long key = noiseKey(parameters, index);
    filter(logits, largest, parameters);
    return draw(key);
  }

  /** What the last choice is to be compared by with those of other parts of the vocabulary. */
  public double score() {
    return score;
  }

  /** The ids of the {@code k} largest logits, likeliest first; fewer when fewer are numbers. */
  public int[] likeliest(float[] logits, int k) {
    int[] ids = new int[candidates.rank(logits, Math.min(k, logits.length))];
    for (int i = 0; i < ids.length; i++) {
      ids[i] = firstId + candidates.likeliestId(i);
    }
    return ids;
  }

  /** The key of the noise that a token is drawn with. */
  public static long noiseKey(SamplingParameters parameters, int index) {
    return KeyedNoise.key(parameters.seed(), parameters.choice(), index);
  }

  /** The least {@code (logit - largest) / temperature} that min-p keeps. */
  public static float leastValue(SamplingParameters parameters) {
    return parameters.minP() > 0 ? (float) Math.log(parameters.minP()) : -Float.MAX_VALUE;
  }

  /** Whether parameters need {@link TokenCounts}. */
  public static boolean penalises(SamplingParameters parameters) {
    return parameters.repetitionPenalty() != 1
        || parameters.presencePenalty() != 0
        || parameters.frequencyPenalty() != 0;
  }

  /**
   * The log-probabilities of the model's own distribution.
   *
   * @param logits as the model gave them
   * @param token the token that stands here
   * @param top how many of the likeliest to add
   */
  public TokenLogprobs logprobs(float[] logits, int token, int top) {
    float largest = largestFinite(logits);
    double sum = 0;
    int rank = 0;
    float chosen = logits[token];
    for (float logit : logits) {
      sum += Math.exp((double) logit - largest);
      rank += logit >= chosen ? 1 : 0;
    }
    double normaliser = largest + Math.log(sum);
    int found = candidates.rank(logits, Math.min(top, logits.length));
    int[] topTokens = new int[found];
    float[] topLogprobs = new float[found];
    for (int i = 0; i < found; i++) {
      topTokens[i] = candidates.likeliestId(i);
      topLogprobs[i] = (float) (logits[topTokens[i]] - normaliser);
    }
    float logprob = (float) (chosen - normaliser);
    return new TokenLogprobs(token, logprob, rank, topTokens, topLogprobs);
  }

  /** Applies bias, penalties and the mask of stop tokens. */
  public void adjust(float[] logits, SamplingParameters parameters, int index, TokenCounts counts) {
    for (Map.Entry<Integer, Float> bias : parameters.logitBias().entrySet()) {
      int place = bias.getKey() - firstId;
      if (isInside(place, logits)) {
        logits[place] += bias.getValue();
      }
    }
    if (penalises(parameters)) {
      counts.penalise(logits, firstId, parameters);
    }
    if (index < parameters.minTokens()) {
      for (int stop : parameters.stopTokens()) {
        if (isInside(stop - firstId, logits)) {
          logits[stop - firstId] = Float.NEGATIVE_INFINITY;
        }
      }
    }
  }

  private static boolean isInside(int place, float[] logits) {
    return place >= 0 && place < logits.length;
  }

  private void filter(float[] logits, float largest, SamplingParameters parameters) {
    float temperature = parameters.temperature();
    float least = leastValue(parameters);
    int topK = parameters.topK();
    if (topK > 0 && topK < logits.length) {
      candidates.selectTop(logits, largest, temperature, topK, least);
    } else {
      candidates.select(logits, largest, temperature, least);
    }
    if (parameters.topP() < 1) {
      candidates.keepTopP(parameters.topP());
    }
  }

  /** The candidate with the largest sum of value and noise: a draw from their softmax. */
  private int draw(long key) {
    double best = Double.NEGATIVE_INFINITY;
    int chosen = NONE;
    for (int i = 0; i < candidates.count(); i++) {
      float value = candidates.value(i);
      if (value + KeyedNoise.MAX_GUMBEL < best) {
        continue;
      }
      int id = firstId + candidates.id(i);
      long bits = KeyedNoise.bits(key, id);
      if (value + KeyedNoise.gumbelBound(bits) < best) {
        continue;
      }
      double noisy = value + KeyedNoise.gumbel(bits);
      if (noisy > best || (noisy == best && id < chosen)) {
        best = noisy;
        chosen = id;
      }
    }
    score = best;
    return chosen;
  }

  /**
   * The largest logit, negative infinity when none is finite; NaN and positive infinity are made
   * negative infinity where they occur.
   */
  public static float largestFinite(float[] logits) {
    float largest = largest(logits);
    if (largest < Float.POSITIVE_INFINITY) {
      return largest;
    }
    for (int id = 0; id < logits.length; id++) {
      if (!(logits[id] < Float.POSITIVE_INFINITY)) {
        logits[id] = Float.NEGATIVE_INFINITY;
      }
    }
    return largest(logits);
  }

  /** NaN when there is one. */
  private static float largest(float[] logits) {
    float largest = Float.NEGATIVE_INFINITY;
    for (float logit : logits) {
      largest = Math.max(largest, logit);
    }
    return largest;
  }

  private static int indexOf(float[] logits, float value) {
    int id = 0;
    while (logits[id] != value) {
      id++;
    }
    return id;
  }
}
