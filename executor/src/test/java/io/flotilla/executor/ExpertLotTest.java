package io.flotilla.executor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ExpertLotTest {
  private static final int DRAWS = 200_000;

  @ParameterizedTest
  @CsvSource({"8,2,2", "8,4,2", "16,2,4", "128,8,8", "12,3,9", "16,4,16"})
  void isWhatDrawingYields(int experts, int ranks, int chosen) {
    Random random = new Random(7);
    double most = 0;
    double reached = 0;
    for (int draw = 0; draw < DRAWS; draw++) {
      int[] held = draw(random, experts, ranks, chosen);
      int largest = 0;
      for (int count : held) {
        largest = Math.max(largest, count);
      }
      most += largest;
      reached += held[0] > 0 ? 1 : 0;
    }
    assertThat(ExpertLot.mostOnOneRank(experts, ranks, chosen))
        .isCloseTo(most / DRAWS, within(0.02));
    assertThat(ExpertLot.reach(experts, experts / ranks, chosen))
        .isCloseTo(reached / DRAWS, within(0.01));
  }

  private static int[] draw(Random random, int experts, int ranks, int chosen) {
    int[] held = new int[ranks];
    boolean[] taken = new boolean[experts];
    for (int i = 0; i < chosen; i++) {
      int expert = random.nextInt(experts);
      while (taken[expert]) {
        expert = random.nextInt(experts);
      }
      taken[expert] = true;
      held[expert / (experts / ranks)]++;
    }
    return held;
  }

  @Test
  void betweenNumbersOfExpertsItIsBetween() {
    double two = ExpertLot.mostOnOneRank(8, 2, 2);
    double three = ExpertLot.mostOnOneRank(8, 2, 3);
    assertThat(ExpertLot.mostOnOneRank(8, 2, 2.25))
        .isCloseTo(0.75 * two + 0.25 * three, within(1e-9));
    assertThat(ExpertLot.mostOnOneRank(8, 1, 2.5)).isEqualTo(2.5);
  }
}
