package io.flotilla.model.sampling;

/**
 * Noise that is a function of (seed, choice, token index, vocabulary id) alone, so that a draw
 * depends on no batch, no shard and no earlier draw. The mixer is SplitMix64's finaliser (Steele,
 * Lea, Flood 2014); a sequence of ids under one key is a SplitMix64 stream.
 */
final class KeyedNoise {
  private static final long GOLDEN = 0x9E3779B97F4A7C15L;
  private static final double UNIT = 0x1p-52;

  private KeyedNoise() {}

  /** The key of one token's draw. */
  static long key(long seed, int choice, int index) {
    long key = mix(seed + GOLDEN);
    key = mix(key ^ mix(choice + 2 * GOLDEN));
    return mix(key ^ mix(index + 3 * GOLDEN));
  }

  /** 64 well mixed bits for a vocabulary id. */
  static long bits(long key, int id) {
    return mix(key + (id + 1L) * GOLDEN);
  }

  /**
   * A draw from the standard Gumbel distribution: {@code -ln(-ln(1 - v))}, with {@code v} the upper
   * 52 bits moved into the open interval (0, 1).
   */
  static double gumbel(long bits) {
    return -Math.log(-Math.log1p(-uniform(bits)));
  }

  /**
   * At least {@link #gumbel} of the same bits, for the price of counting zeros: {@code -ln(1 - v)
   * >= v >= 2^-(leading zeros + 1)}.
   */
  static double gumbelBound(long bits) {
    return (Long.numberOfLeadingZeros(bits) + 1) * LN2;
  }

  /** The largest value {@link #gumbel} takes, rounded up. */
  static final double MAX_GUMBEL = 37;

  private static final double LN2 = Math.nextUp(Math.log(2));

  /** In (0, 1), never 0 or 1. */
  static double uniform(long bits) {
    return ((bits >>> 12) + 0.5) * UNIT;
  }

  private static long mix(long z) {
    z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
    z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
    return z ^ (z >>> 31);
  }
}
