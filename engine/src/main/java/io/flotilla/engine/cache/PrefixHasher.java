package io.flotilla.engine.cache;

/**
 * SipHash-2-4 with 128 bits of output (Aumasson and Bernstein, "SipHash: a fast short-input PRF",
 * 2012). Keyed, so that nobody who does not know the key can make two prefixes collide; at 128 bits
 * chance cannot either. That is why equal hashes are taken for equal tokens.
 *
 * <p>Use: {@link #begin}, {@link #add} for each word, {@link #finish}, then {@link #low} and {@link
 * #high}. One thread.
 */
final class PrefixHasher {
  private final long key0;
  private final long key1;
  private long v0;
  private long v1;
  private long v2;
  private long v3;
  private int words;
  private long low;
  private long high;

  PrefixHasher(long key0, long key1) {
    this.key0 = key0;
    this.key1 = key1;
  }

  void begin() {
    v0 = key0 ^ 0x736f6d6570736575L;
    v1 = key1 ^ 0x646f72616e646f6dL ^ 0xee;
    v2 = key0 ^ 0x6c7967656e657261L;
    v3 = key1 ^ 0x7465646279746573L;
    words = 0;
  }

  void add(long word) {
    v3 ^= word;
    round();
    round();
    v0 ^= word;
    words++;
  }

  void finish() {
    long bytes = (long) words * Long.BYTES;
    add(bytes << 56);
    v2 ^= 0xee;
    fourRounds();
    low = v0 ^ v1 ^ v2 ^ v3;
    v1 ^= 0xdd;
    fourRounds();
    high = v0 ^ v1 ^ v2 ^ v3;
  }

  /** The first eight bytes of the hash, little-endian. */
  long low() {
    return low;
  }

  /** The last eight bytes of the hash, little-endian. */
  long high() {
    return high;
  }

  /** Hashes the name under which sequences share blocks: the parent of every first block. */
  void hashSalt(String salt) {
    begin();
    add(salt.length());
    for (int i = 0; i < salt.length(); i++) {
      add(salt.charAt(i));
    }
    finish();
  }

  /** Hashes {@code count} tokens that follow a prefix with the hash {@code parent}. */
  void hashBlock(long parentLow, long parentHigh, int[] tokens, int from, int count) {
    begin();
    add(parentLow);
    add(parentHigh);
    for (int i = 0; i < count; i += 2) {
      long second = i + 1 < count ? tokens[from + i + 1] : 0;
      add((tokens[from + i] & 0xffffffffL) | (second << 32));
    }
    finish();
  }

  private void fourRounds() {
    round();
    round();
    round();
    round();
  }

  private void round() {
    v0 += v1;
    v1 = Long.rotateLeft(v1, 13) ^ v0;
    v0 = Long.rotateLeft(v0, 32);
    v2 += v3;
    v3 = Long.rotateLeft(v3, 16) ^ v2;
    v0 += v3;
    v3 = Long.rotateLeft(v3, 21) ^ v0;
    v2 += v1;
    v1 = Long.rotateLeft(v1, 17) ^ v2;
    v2 = Long.rotateLeft(v2, 32);
  }
}
