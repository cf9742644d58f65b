package io.flotilla.model.sampling;

import java.util.Arrays;

/**
 * The tokens a draw may still choose, narrowed in place. A value is a logit less the largest,
 * divided by the temperature: the likeliest token has 0, and e to the value is proportional to its
 * probability. Equal values are ordered by id, the lower one first, so that every filter is a
 * function of the logits alone.
 *
 * <p>Nothing here sorts the vocabulary: top-k keeps a heap of k, and top-p sorts only the bin of
 * values in which the limit falls.
 */
final class Candidates {
  private static final int BINS = 1024;
  // Bins of 1/8 reach down to e^-128 of the likeliest, below what a double sum near 1 can hold.
  private static final float BINS_PER_UNIT = 8;

  private final int[] ids;
  private final float[] values;
  private final double[] mass = new double[BINS];
  private long[] keys = new long[256];
  private int count;

  Candidates(int vocabularySize) {
    ids = new int[vocabularySize];
    values = new float[vocabularySize];
  }

  int count() {
    return count;
  }

  int id(int candidate) {
    return ids[candidate];
  }

  float value(int candidate) {
    return values[candidate];
  }

  /** All tokens whose value is at least {@code least}. */
  void select(float[] logits, float largest, float temperature, float least) {
    int kept = 0;
    for (int id = 0; id < logits.length; id++) {
      float value = (logits[id] - largest) / temperature;
      ids[kept] = id;
      values[kept] = value;
      kept += value >= least ? 1 : 0;
    }
    count = kept;
  }

  /** The {@code k} likeliest tokens whose value is at least {@code least}. */
  void selectTop(float[] logits, float largest, float temperature, int k, float least) {
    count = likeliest(logits, k);
    int kept = 0;
    for (int i = 0; i < count; i++) {
      float value = (logits[id(keys[i])] - largest) / temperature;
      if (value >= least) {
        ids[kept] = id(keys[i]);
        values[kept] = value;
        kept++;
      }
    }
    count = kept;
  }

  /** Keeps the smallest set of the likeliest whose share of the probability reaches {@code p}. */
  void keepTopP(float p) {
    Arrays.fill(mass, 0);
    for (int i = 0; i < count; i++) {
      mass[bin(values[i])] += Math.exp(values[i]);
    }
    double total = 0;
    for (double binMass : mass) {
      total += binMass;
    }
    double limit = p * total;
    double sum = 0;
    int last = 0;
    while (last < BINS - 1 && sum + mass[last] < limit) {
      sum += mass[last++];
    }
    keepThroughBin(last, limit - sum);
  }

  /** Keeps the bins before {@code last}, and of it the likeliest that reach {@code missing}. */
  private void keepThroughBin(int last, double missing) {
    int kept = 0;
    int inLast = 0;
    for (int i = 0; i < count; i++) {
      int bin = bin(values[i]);
      if (bin < last) {
        ids[kept] = ids[i];
        values[kept] = values[i];
        kept++;
      } else if (bin == last) {
        ensureKeys(inLast + 1);
        keys[inLast++] = key(values[i], ids[i]);
      }
    }
    Arrays.sort(keys, 0, inLast);
    double sum = 0;
    for (int i = inLast - 1; i >= 0 && (sum < missing || kept == 0); i--) {
      ids[kept] = id(keys[i]);
      values[kept] = value(keys[i]);
      sum += Math.exp(values[kept]);
      kept++;
    }
    count = kept;
  }

  /**
   * Leaves in {@link #likeliestId} the ids of the {@code k} largest logits, likeliest first.
   *
   * @return how many: fewer than {@code k} when fewer logits are numbers
   */
  int rank(float[] logits, int k) {
    int found = likeliest(logits, k);
    Arrays.sort(keys, 0, found);
    for (int i = 0; i < found / 2; i++) {
      long swap = keys[i];
      keys[i] = keys[found - 1 - i];
      keys[found - 1 - i] = swap;
    }
    return found;
  }

  int likeliestId(int rank) {
    return id(keys[rank]);
  }

  /** Fills {@link #keys} with the {@code k} largest, as a heap with the least on top. */
  private int likeliest(float[] logits, int k) {
    ensureKeys(k);
    int found = 0;
    float least = Float.NEGATIVE_INFINITY;
    for (int id = 0; id < logits.length; id++) {
      // False for NaN. An equal logit of a higher id never displaces.
      if (!(logits[id] > least)) {
        continue;
      }
      if (found < k) {
        keys[found] = key(logits[id], id);
        siftUp(found++);
      } else {
        keys[0] = key(logits[id], id);
        siftDown(k);
      }
      if (found == k) {
        least = value(keys[0]);
      }
    }
    return found;
  }

  private void siftUp(int child) {
    while (child > 0 && keys[(child - 1) / 2] > keys[child]) {
      int parent = (child - 1) / 2;
      long swap = keys[parent];
      keys[parent] = keys[child];
      keys[child] = swap;
      child = parent;
    }
  }

  private void siftDown(int size) {
    int parent = 0;
    while (2 * parent + 1 < size) {
      int child = 2 * parent + 1;
      if (child + 1 < size && keys[child + 1] < keys[child]) {
        child++;
      }
      if (keys[parent] <= keys[child]) {
        return;
      }
      long swap = keys[parent];
      keys[parent] = keys[child];
      keys[child] = swap;
      parent = child;
    }
  }

  private void ensureKeys(int length) {
    if (keys.length < length) {
      keys = Arrays.copyOf(keys, Math.max(length, 2 * keys.length));
    }
  }

  private static int bin(float value) {
    return (int) Math.min(-value * BINS_PER_UNIT, BINS - 1);
  }

  /** Orders as (value, then the lower id above the higher). */
  private static long key(float value, int id) {
    // + 0f makes -0 and 0 equal.
    int bits = Float.floatToRawIntBits(value + 0f);
    int ordered = bits ^ (bits >> 31 & Integer.MAX_VALUE);
    return (long) ordered << 32 | (Integer.MAX_VALUE - id);
  }

  private static int id(long key) {
    return Integer.MAX_VALUE - (int) key;
  }

  private static float value(long key) {
    int ordered = (int) (key >> 32);
    return Float.intBitsToFloat(ordered ^ (ordered >> 31 & Integer.MAX_VALUE));
  }
}
