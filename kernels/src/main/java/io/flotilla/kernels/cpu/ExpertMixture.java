package io.flotilla.kernels.cpu;

import io.flotilla.kernels.Buffer;
import io.flotilla.kernels.ExpertLayer;
import io.flotilla.kernels.Ops;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import io.flotilla.kernels.TensorType;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;

/**
 * A mixture of experts, expert by expert: the rows that an expert computes are gathered, multiplied
 * together and added to the output with their weights. A row's sum goes over its experts in their
 * order, whoever else they compute.
 */
final class ExpertMixture {
  /** Columns that one thread adds up at a time. */
  private static final int SUM_COLUMNS = 256;

  private final Ops ops;
  private final ThreadTeam team;
  private final ScaledAddition addition;

  /** {@code to[i] += scale * from[i]}. */
  @FunctionalInterface
  interface ScaledAddition {
    void add(long to, float scale, long from, int count);
  }

  ExpertMixture(Ops ops, ThreadTeam team, ScaledAddition addition) {
    this.ops = ops;
    this.team = team;
    this.addition = addition;
  }

  /** The rows of one expert at a time: its inputs, what is between its matrices, its outputs. */
  private record Memory(Tensor gathered, Tensor projected, Tensor mixed, Tensor results) {
    static Memory of(Buffer buffer, int rows, int hidden, int intermediate) {
      long gathered = bytes(rows, hidden);
      long projected = bytes(rows, 2 * intermediate);
      long mixed = bytes(rows, intermediate);
      return new Memory(
          view(buffer.slice(0, gathered), rows, hidden),
          view(buffer.slice(gathered, projected), rows, 2 * intermediate),
          view(buffer.slice(gathered + projected, mixed), rows, intermediate),
          view(buffer.slice(gathered + projected + mixed, gathered), rows, hidden));
    }

    private static Tensor view(Buffer memory, int rows, int columns) {
      return Tensor.of(memory, TensorType.F32, rows, columns);
    }

    /** Whole cache lines. */
    private static long bytes(int rows, int columns) {
      return Math.ceilDiv(TensorType.F32.bytes((long) rows * columns), 64) * 64;
    }
  }

  /** See {@link io.flotilla.kernels.Device#mixtureBytes}. */
  static long bytes(int rows, int hidden, int intermediate) {
    return 2 * Memory.bytes(rows, hidden)
        + Memory.bytes(rows, 2 * intermediate)
        + Memory.bytes(rows, intermediate);
  }

  /** See {@link Ops#mixExperts}. */
  void run(Stream stream, Tensor x, Tensor router, ExpertLayer layer, Buffer buffer, Tensor out) {
    Memory memory = Memory.of(buffer, x.rows(), x.columns(), layer.intermediateSize());
    int rows = x.rows();
    int experts = router.columns();
    float[] weights = new float[rows * experts];
    team.run(
        rows,
        (row, _) -> {
          route(router, row, layer.perToken(), layer.normalised(), weights);
          MemorySegment target = NativeMemory.segment(out);
          target.asSlice(row * out.rowBytes(), TensorType.F32.bytes(out.columns())).fill((byte) 0);
        });
    int[] chosen = new int[rows];
    for (int expert = 0; expert < layer.downs().size(); expert++) {
      int column = layer.firstExpert() + expert;
      int count = 0;
      for (int row = 0; row < rows; row++) {
        if (weights[row * experts + column] > 0) {
          chosen[count++] = row;
        }
      }
      if (count > 0) {
        Tensor results = compute(stream, x, chosen, count, layer, expert, memory);
        addWeighted(results, chosen, count, weights, experts, column, out);
      }
    }
  }

  /** See {@link Ops#chooseRows}. */
  void choose(
      Tensor router, int firstExpert, int experts, int perToken, Tensor chosen, Tensor counts) {
    int rows = router.rows();
    float[] weights = new float[rows * router.columns()];
    team.run(rows, (row, _) -> route(router, row, perToken, false, weights));
    long to = NativeMemory.address(chosen);
    for (int rank = 0; rank < counts.columns(); rank++) {
      int count = 0;
      for (int row = 0; row < rows; row++) {
        int from = row * router.columns() + firstExpert + rank * experts;
        if (hasOne(weights, from, experts)) {
          NativeMemory.setInt(to, row);
          to += 4;
          count++;
        }
      }
      NativeMemory.setInt(NativeMemory.address(counts) + 4L * rank, count);
    }
  }

  private static boolean hasOne(float[] weights, int from, int count) {
    for (int i = from; i < from + count; i++) {
      if (weights[i] > 0) {
        return true;
      }
    }
    return false;
  }

  /** See {@link Ops#sumRows}. */
  void sum(Tensor x, Tensor rows, Tensor out) {
    int columns = out.columns();
    team.run(
        Math.ceilDiv(columns, SUM_COLUMNS),
        (tile, _) -> {
          int count = Math.min(SUM_COLUMNS, columns - tile * SUM_COLUMNS);
          long offset = 4L * tile * SUM_COLUMNS;
          long to = NativeMemory.address(out) + offset;
          for (int row = 0; row < out.rows(); row++) {
            NativeMemory.clear(to + row * out.rowBytes(), 4L * count);
          }
          for (int i = 0; i < x.rows(); i++) {
            long from = NativeMemory.address(x) + i * x.rowBytes() + offset;
            addition.add(to + NativeMemory.integer(rows, i) * out.rowBytes(), 1, from, count);
          }
        });
  }

  /** Leaves in {@code weights} those of the row's experts; the other experts have 0. */
  private static void route(
      Tensor router, int row, int perToken, boolean normalised, float[] weights) {
    int experts = router.columns();
    MemorySegment logits = NativeMemory.segment(router);
    float[] values = new float[experts];
    float largest = Float.NEGATIVE_INFINITY;
    for (int i = 0; i < experts; i++) {
      values[i] = logits.get(NativeMemory.FLOAT, row * router.rowBytes() + 4L * i);
      largest = Math.max(largest, values[i]);
    }
    float sum = 0;
    for (int i = 0; i < experts; i++) {
      // Never 0, which would mean that the expert was not chosen.
      values[i] = Math.max(Float.MIN_NORMAL, (float) StrictMath.exp(values[i] - largest));
      sum += values[i];
    }
    int[] best = new int[perToken];
    float chosenSum = 0;
    for (int k = 0; k < best.length; k++) {
      int next = -1;
      for (int i = 0; i < experts; i++) {
        boolean taken = weights[row * experts + i] > 0;
        if (!taken && (next < 0 || values[i] > values[next])) {
          next = i;
        }
      }
      best[k] = next;
      weights[row * experts + next] = values[next] / sum;
      chosenSum += values[next] / sum;
    }
    if (normalised) {
      for (int expert : best) {
        weights[row * experts + expert] /= chosenSum;
      }
    }
  }

  /** The expert's results for the chosen rows of {@code x}. */
  private Tensor compute(
      Stream stream,
      Tensor x,
      int[] chosen,
      int count,
      ExpertLayer layer,
      int expert,
      Memory memory) {
    Tensor input = x;
    if (count < x.rows()) {
      input = memory.gathered().sliceRows(0, count);
      gather(x, chosen, input);
    }
    Tensor projected = memory.projected().sliceRows(0, count);
    Tensor mixed = memory.mixed().sliceRows(0, count);
    Tensor results = memory.results().sliceRows(0, count);
    ops.linear(stream, input, layer.gateUps().get(expert), null, projected);
    ops.siluMultiply(stream, projected, mixed);
    ops.linear(stream, mixed, List.of(layer.downs().get(expert)), null, results);
    return results;
  }

  private void gather(Tensor x, int[] chosen, Tensor to) {
    team.run(
        to.rows(),
        (row, _) ->
            MemorySegment.copy(
                NativeMemory.segment(x),
                chosen[row] * x.rowBytes(),
                NativeMemory.segment(to),
                row * to.rowBytes(),
                TensorType.F32.bytes(x.columns())));
  }

  private void addWeighted(
      Tensor results,
      int[] chosen,
      int count,
      float[] weights,
      int experts,
      int column,
      Tensor out) {
    int[] rows = Arrays.copyOf(chosen, count);
    team.run(
        count,
        (i, _) ->
            addition.add(
                NativeMemory.address(out) + rows[i] * out.rowBytes(),
                weights[rows[i] * experts + column],
                NativeMemory.address(results) + i * results.rowBytes(),
                out.columns()));
  }
}
