package io.flotilla.bench;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ArrivalTimesTest {
  @Test
  void sendsAllAtOnceAtAnInfiniteRate() {
    assertThat(ArrivalTimes.of(3, Double.POSITIVE_INFINITY, 1, 0)).containsOnly(0);
  }

  @Test
  void isEvenAtInfiniteBurstiness() {
    assertThat(ArrivalTimes.of(4, 2, Double.POSITIVE_INFINITY, 0)).containsExactly(0.5, 1, 1.5, 2);
  }

  // The squared coefficient of variation of a gamma distribution is 1 / shape.
  @ParameterizedTest
  @CsvSource({"0.5, 2", "1, 1", "4, 0.25"})
  void burstinessIsTheShapeOfTheIntervals(double burstiness, double squaredVariation) {
    int count = 50_000;
    double[] times = ArrivalTimes.of(count, 10, burstiness, 7);

    double[] gaps = IntStream.range(1, count).mapToDouble(i -> times[i] - times[i - 1]).toArray();
    double mean = Arrays.stream(gaps).average().orElseThrow();
    double variance = Arrays.stream(gaps).map(gap -> (gap - mean) * (gap - mean)).sum() / count;
    assertThat(times[count - 1]).isCloseTo(count / 10.0, within(1e-6));
    assertThat(variance / (mean * mean))
        .isCloseTo(squaredVariation, within(0.1 * squaredVariation));
  }

  @Test
  void theSameSeedGivesTheSameTimes() {
    assertThat(ArrivalTimes.of(9, 1, 1, 3)).isEqualTo(ArrivalTimes.of(9, 1, 1, 3));
    assertThat(ArrivalTimes.of(9, 1, 1, 3)).isNotEqualTo(ArrivalTimes.of(9, 1, 1, 4));
  }
}
