package io.flotilla.kernels.cpu;

import io.flotilla.kernels.Ops;
import java.lang.foreign.Arena;
import jdk.incubator.vector.FloatVector;

/**
 * The one place that chooses between the operations on vectors and the scalar ones.
 *
 * @param name for the device's name
 * @param reason why these, for the log
 * @param fast whether they are those on vectors
 */
record OpsSelection(Ops ops, Summation summation, String name, String reason, boolean fast) {
  private static final String VECTOR_MODULE = "jdk.incubator.vector";
  private static final int LEAST_BITS = 256;

  /** The operations on vectors where this Java and this processor have them. */
  static OpsSelection best(ThreadTeam team, Arena arena) {
    if (ModuleLayer.boot().findModule(VECTOR_MODULE).isEmpty()) {
      return scalar(
          team, "module " + VECTOR_MODULE + " is missing; add --add-modules " + VECTOR_MODULE);
    }
    int bits = PreferredVector.bits();
    if (bits < LEAST_BITS) {
      return scalar(team, "vectors of this processor have " + bits + " bits, not " + LEAST_BITS);
    }
    return vector(team, arena, bits);
  }

  /** The scalar operations, whatever the processor has. */
  static OpsSelection scalar(ThreadTeam team, String reason) {
    return new OpsSelection(new ScalarOps(team), Summation::scalar, "scalar", reason, false);
  }

  private static OpsSelection vector(ThreadTeam team, Arena arena, int bits) {
    return new OpsSelection(
        new VectorOps(team, arena),
        VectorSummation::sum,
        "Vector API, " + bits + " bit",
        "the Vector API is there, with vectors of " + bits + " bits",
        true);
  }

  /** Apart, because it cannot be loaded where the module is missing. */
  private static final class PreferredVector {
    static int bits() {
      return FloatVector.SPECIES_PREFERRED.vectorBitSize();
    }
  }
}
