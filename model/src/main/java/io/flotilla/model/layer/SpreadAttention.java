package io.flotilla.model.layer;

import io.flotilla.kernels.AttentionBatch;
import io.flotilla.kernels.AttentionShape;
import io.flotilla.kernels.Buffer;
import io.flotilla.kernels.Collectives;
import io.flotilla.kernels.KvCache;
import io.flotilla.kernels.Ops;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;

/**
 * Attention of ranks that hold the tokens of a key-value head between them. Each gets the queries
 * of all, attends with them to its own tokens, and sends each rank what is of its queries, which
 * that rank merges.
 */
final class SpreadAttention {
  private final Ops ops;
  private final Collectives keys;
  private final AttentionShape shape;

  SpreadAttention(Ops ops, Collectives keys, AttentionShape shape) {
    this.ops = ops;
    this.keys = keys;
    this.shape = shape;
  }

  /**
   * @param queries {@code [rows, queryColumns]}
   * @param out of the same shape
   */
  void apply(
      Stream stream,
      Tensor queries,
      AttentionBatch batch,
      KvCache cache,
      float scale,
      ExchangeMemory memory,
      Tensor out) {
    int rows = batch.rows();
    Tensor gathered = memory.gathered(keys.size() * rows, shape.queryColumns());
    keys.allGather(stream, withoutGaps(stream, queries, memory), gathered.memory());
    int columns = partColumns(shape);
    Tensor mine = memory.computed(keys.size() * rows, columns);
    ops.attentionPart(stream, gathered, cache, batch, scale, mine);
    Tensor received = memory.received(keys.size() * rows, columns);
    keys.allToAll(stream, mine.memory(), received.memory());
    ops.mergeAttention(stream, received, shape, out);
  }

  /** Columns of a row of partial results. */
  static int partColumns(AttentionShape shape) {
    return shape.queryColumns() + 2 * shape.heads();
  }

  private Buffer withoutGaps(Stream stream, Tensor queries, ExchangeMemory memory) {
    if (queries.rows() == 1) {
      return queries.memory();
    }
    Tensor packed = memory.packed(queries.rows(), queries.columns());
    ops.copyRows(stream, queries, packed);
    return packed.memory();
  }
}
