package io.flotilla.kernels.cpu;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import org.junit.jupiter.api.Test;

/** Holds the fast sums to the scalar one, to the bit. */
class SummationTest {
  private static final int MOST = 3000;
  private static final int OFFSET = 12;

  private final Arena arena = Arena.ofConfined();

  @Test
  void vectorsSumAsTheOracle() {
    sumsAsTheOracle(VectorSummation::sum);
  }

  @Test
  void compiledKernelsSumAsTheOracle() {
    CompiledLibrary library = CompiledLibrary.found();
    assumeTrue(library != null, "no kernels were compiled for this processor");
    sumsAsTheOracle(new CompiledKernels(library.symbols(), 1, arena)::sum);
  }

  private void sumsAsTheOracle(Summation summation) {
    for (int ranks : new int[] {2, 3, 8}) {
      for (int count : new int[] {1, 15, 64, 2501}) {
        assertThat(sum(summation, ranks, count)).isEqualTo(sum(Summation::scalar, ranks, count));
      }
    }
    arena.close();
  }

  /** What all ranks have after each has the sums of all. */
  private float[][] sum(Summation summation, int ranks, int count) {
    MemorySegment[] parts = new MemorySegment[ranks];
    for (int rank = 0; rank < ranks; rank++) {
      parts[rank] = arena.allocate(4L * MOST, 64);
      for (int i = 0; i < MOST; i++) {
        parts[rank].setAtIndex(JAVA_FLOAT, i, (float) Math.sin(rank * MOST + i));
      }
    }
    long[] addresses = Arrays.stream(parts).mapToLong(MemorySegment::address).toArray();
    summation.sum(addresses, addresses, OFFSET, count);
    return Arrays.stream(parts).map(part -> part.toArray(JAVA_FLOAT)).toArray(float[][]::new);
  }
}
