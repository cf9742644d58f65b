package io.flotilla.model.layer;

import io.flotilla.kernels.AttentionBatch;
import io.flotilla.kernels.Collectives;
import io.flotilla.kernels.KvCache;
import io.flotilla.kernels.Ops;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;

/**
 * Gives every rank the keys and values of the rows that the others compute, so that each has all of
 * them in its cache.
 */
final class ContextKeys {
  private final Ops ops;
  private final Collectives context;

  ContextKeys(Ops ops, Collectives context) {
    this.ops = ops;
    this.context = context;
  }

  /**
   * @param keysValues of this rank's rows, normalised and rotated
   * @param gathered where the rows of all ranks belong
   */
  void exchange(
      Stream stream,
      Tensor keysValues,
      AttentionBatch gathered,
      KvCache cache,
      ExchangeMemory memory) {
    int columns = keysValues.columns();
    Tensor mine = memory.packed(gathered.rows() / context.size(), columns);
    ops.copyRows(stream, keysValues, mine.sliceRows(0, keysValues.rows()));
    Tensor all = memory.gathered(gathered.rows(), columns);
    context.allGather(stream, mine.memory(), all.memory());
    ops.store(stream, all, gathered, cache);
  }
}
