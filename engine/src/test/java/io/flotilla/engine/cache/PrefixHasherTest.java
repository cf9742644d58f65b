package io.flotilla.engine.cache;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class PrefixHasherTest {
  // Key and messages are the bytes 0, 1, 2, ... as in the reference implementation's vectors. The
  // hashes are those of `openssl mac -macopt hexkey:000102030405060708090a0b0c0d0e0f
  // -macopt size:16 -in MESSAGE SIPHASH`, read as two little-endian words.
  private final PrefixHasher hasher = new PrefixHasher(0x0706050403020100L, 0x0f0e0d0c0b0a0908L);

  @Test
  void hashesLikeTheReference() {
    assertHash(0, 0xe6a825ba047f81a3L, 0x930255c71472f66dL);
    assertHash(1, 0x61f55862baa9623bL, 0xb49714f364e2830fL);
    assertHash(10, 0xf870437ae16ac7d2L, 0x22f80d5a79a4fb58L);
  }

  @Test
  void tellsBlocksApartByParentTokenAndOrder() {
    long[] hashes = {
      hash(1, 2, 3, 4), hash(2, 1, 3, 4), hash(1, 2, 4, 3), hash(1, 2, 3, 5), hash(1, 2, 3, 4, 0)
    };
    assertThat(hashes).doesNotHaveDuplicates();
    assertThat(hash(1, 2, 3, 4)).isEqualTo(hashes[0]);
  }

  @Test
  void tellsSaltsApart() {
    hasher.hashSalt("");
    long none = hasher.low();
    hasher.hashSalt("tenant");
    assertThat(hasher.low()).isNotEqualTo(none);
  }

  private long hash(long parentLow, long parentHigh, int... tokens) {
    hasher.hashBlock(parentLow, parentHigh, tokens, 0, tokens.length);
    return hasher.low();
  }

  private void assertHash(int words, long low, long high) {
    hasher.begin();
    for (int word = 0; word < words; word++) {
      hasher.add(0x0706050403020100L + word * 0x0808080808080808L);
    }
    hasher.finish();
    assertThat(hasher.low()).isEqualTo(low);
    assertThat(hasher.high()).isEqualTo(high);
  }
}
