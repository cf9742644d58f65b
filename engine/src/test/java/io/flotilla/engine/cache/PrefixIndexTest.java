package io.flotilla.engine.cache;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.HashMap;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;

class PrefixIndexTest {
  @Test
  void findsWhatAMapFinds() {
    Random random = new Random(1);
    int blocks = 50;
    PrefixIndex index = new PrefixIndex(blocks);
    Map<Long, Integer> map = new HashMap<>();
    long[] hashes = new long[blocks];
    for (int i = 0; i < 20_000; i++) {
      int block = random.nextInt(blocks);
      // Few distinct low bits, so that blocks make way for one another.
      long hash = random.nextInt(100) * (1L << 40) + random.nextInt(3);
      if (index.contains(block)) {
        index.remove(block);
        map.remove(hashes[block]);
      } else if (!map.containsKey(hash)) {
        index.add(block, hash, ~hash);
        map.put(hash, block);
        hashes[block] = hash;
      }
      assertThat(index.find(hash, ~hash)).isEqualTo(map.getOrDefault(hash, PrefixIndex.NONE));
      assertThat(index.size()).isEqualTo(map.size());
      index.checkInvariants();
    }
  }

  @Test
  void comparesBothHalvesOfTheHash() {
    PrefixIndex index = new PrefixIndex(4);
    index.add(2, 7, 8);
    assertThat(index.find(7, 8)).isEqualTo(2);
    assertThat(index.find(7, 9)).isEqualTo(PrefixIndex.NONE);
  }
}
