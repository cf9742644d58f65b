package io.flotilla.kernels.cpu;

import io.flotilla.kernels.Ops;
import java.lang.foreign.Arena;
import jdk.incubator.vector.FloatVector;

/**
 * The one place that chooses between the compiled operations, those on the Vector API and the
 * scalar ones.
 *
 * @param name for the device's name
 * @param reason why these, for the log
 * @param fast whether they are not the scalar ones
 */
record OpsSelection(Ops ops, Summation summation, String name, String reason, boolean fast) {
  private static final String VECTOR_MODULE = "jdk.incubator.vector";
  private static final int LEAST_BITS = 256;

  /** The fastest operations that this build, this Java and this processor have. */
  static OpsSelection best(ThreadTeam team, Arena arena) {
    CompiledLibrary library = CompiledLibrary.found();
    return library == null ? vector(team, arena) : compiled(library, team, arena);
  }

  private static OpsSelection compiled(CompiledLibrary library, ThreadTeam team, Arena arena) {
    CompiledKernels kernels = new CompiledKernels(library.symbols(), team.threads(), arena);
    return new OpsSelection(
        new TiledOps(team, kernels),
        kernels::sum,
        library.instructions(),
        "kernels compiled for " + library.instructions(),
        true);
  }

  /** The operations on the Vector API where this Java and this processor have it. */
  static OpsSelection vector(ThreadTeam team, Arena arena) {
    if (ModuleLayer.boot().findModule(VECTOR_MODULE).isEmpty()) {
      return scalar(
          team, "module " + VECTOR_MODULE + " is missing; add --add-modules " + VECTOR_MODULE);
    }
    int bits = PreferredVector.bits();
    if (bits < LEAST_BITS) {
      return scalar(team, "vectors of this processor have " + bits + " bits, not " + LEAST_BITS);
    }
    return new OpsSelection(
        new TiledOps(team, new VectorKernels(team.threads(), arena)),
        VectorSummation::sum,
        "Vector API, " + bits + " bit",
        "no compiled kernels for this processor; the Vector API has " + bits + " bits",
        true);
  }

  /** The scalar operations, whatever the processor has. */
  static OpsSelection scalar(ThreadTeam team, String reason) {
    return new OpsSelection(new ScalarOps(team), Summation::scalar, "scalar", reason, false);
  }

  /** Apart, because it cannot be loaded where the module is missing. */
  private static final class PreferredVector {
    static int bits() {
      return FloatVector.SPECIES_PREFERRED.vectorBitSize();
    }
  }
}
