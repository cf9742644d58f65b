package io.flotilla.bench.report;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.stream.DoubleStream;
import org.junit.jupiter.api.Test;

class DistributionTest {
  @Test
  void agreesWithNumPy() {
    // numpy.percentile([5, 1, 4, 2], [50, 99, 12.5]), numpy.std, numpy.mean
    Distribution distribution = new Distribution(DoubleStream.of(5, 1, 4, 2));

    assertThat(distribution.mean()).isEqualTo(3.0);
    assertThat(distribution.median()).isEqualTo(3.0);
    assertThat(distribution.percentile(99)).isCloseTo(4.97, within(1e-12));
    assertThat(distribution.percentile(12.5)).isCloseTo(1.375, within(1e-12));
    assertThat(distribution.standardDeviation()).isCloseTo(1.5811388300841898, within(1e-12));
  }

  @Test
  void isZeroWithoutValues() {
    assertThat(new Distribution(DoubleStream.empty()).percentile(99)).isZero();
  }
}
