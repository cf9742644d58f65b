package io.flotilla.kernels.cpu;

import java.lang.foreign.Arena;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;

/**
 * Causal attention over paged keys and values, with an online softmax (arXiv 1805.02867). The keys
 * are walked in chunks that begin at multiples of {@link #CHUNK} positions, whatever the step
 * computes and wherever the keys came from; so a row's result depends on its position and on what
 * is cached before it, to the bit.
 *
 * <p>A tile of work is one key-value head for a few adjacent rows of a sequence: the query heads
 * that share it, times the rows, are its queries. Scores have tokens in their lanes and values have
 * elements of the head, so nothing is added across lanes but one sum of weights a query.
 */
final class VectorAttention {
  private static final int CHUNK = TiledAttention.CHUNK;
  private static final int GROUP = 4;

  private final WorkerMemory scratch;

  VectorAttention(int workers, Arena arena) {
    this.scratch = new WorkerMemory(workers, arena);
  }

  /** See {@link TileKernels#attend}. */
  void attend(AttentionTile tile, int worker) {
    AttentionCall call = tile.call();
    int headDim = call.layout().headDim();
    int capacity = Math.ceilDiv(call.rowsPerTile() * call.heads(), GROUP) * GROUP;
    long address = scratch.reserve(worker, Scratch.bytes(capacity, headDim));
    new Task(call, new Scratch(address, capacity, headDim))
        .run(tile.firstRow(), tile.rows(), tile.sequence(), tile.kvHead());
  }

  /**
   * A worker's memory, for {@code capacity} queries.
   *
   * <pre>
   * queries [capacity][headDim] | sums of values [capacity][headDim] | scores [capacity][CHUNK]
   * | sums of weights [capacity][lanes] | largest scores [capacity] | rescaling [capacity]
   * </pre>
   */
  private record Scratch(long address, int capacity, int headDim) {
    static long bytes(int capacity, int headDim) {
      return capacity * (2L * headBytes(headDim) + 4L * CHUNK + Lanes.BYTES + 8) + Lanes.BYTES;
    }

    static long headBytes(int headDim) {
      return 4L * Math.ceilDiv(headDim, KvLayout.GRANULE) * KvLayout.GRANULE;
    }

    long headBytes() {
      return headBytes(headDim);
    }

    long query(int index) {
      return address + index * headBytes();
    }

    long sum(int index) {
      return query(capacity + index);
    }

    long scores(int index) {
      return sum(capacity) + 4L * CHUNK * index;
    }

    long weightSum(int index) {
      return scores(capacity) + (long) Lanes.BYTES * index;
    }

    long largest(int index) {
      return weightSum(capacity) + 4L * index;
    }

    long rescaling(int index) {
      return largest(capacity) + 4L * index;
    }

    long spare() {
      return rescaling(capacity);
    }
  }

  /** One tile: adjacent rows of one sequence, one key-value head. */
  private record Task(AttentionCall call, Scratch scratch) {
    void run(int firstRow, int rows, int sequence, int kvHead) {
      int queries = rows * call.heads();
      int padded = Math.ceilDiv(queries, GROUP) * GROUP;
      load(firstRow, queries, padded, kvHead);
      int position = NativeMemory.getInt(call.positions() + 4L * firstRow);
      int end = call.held(position + rows - 1);
      long table = call.blockTables() + sequence * call.blockTableBytes();
      for (int from = 0; from < end; from += CHUNK) {
        int count = Math.min(CHUNK, end - from);
        for (int query = 0; query < padded; query += GROUP) {
          score(query, table, from, count, kvHead);
        }
        for (int query = 0; query < queries; query++) {
          int limit = call.held(position + query / call.heads()) - from;
          weigh(query, Math.min(limit, count), count);
        }
        for (int query = 0; query < padded; query += GROUP) {
          addValues(query, table, from, count, kvHead);
        }
      }
      for (int query = 0; query < queries; query++) {
        finish(query, firstRow, kvHead);
      }
    }

    /** Copies the scaled queries, and clears what is summed; padding queries are zeros. */
    private void load(int firstRow, int queries, int padded, int kvHead) {
      int headDim = call.layout().headDim();
      NativeMemory.clear(scratch.address, Scratch.bytes(scratch.capacity, headDim));
      for (int query = 0; query < queries; query++) {
        long from = call.query(firstRow + query / call.heads(), kvHead, query % call.heads());
        for (int i = 0; i < headDim; i++) {
          NativeMemory.setFloat(
              scratch.query(query) + 4L * i, NativeMemory.getFloat(from + 4L * i) * call.scale());
        }
      }
      for (int query = 0; query < padded; query++) {
        // Finite, so that weights of no tokens are no NaN.
        NativeMemory.setFloat(scratch.largest(query), -Float.MAX_VALUE);
      }
    }

    private int block(long table, int position) {
      return NativeMemory.getInt(table + 4L * (position / call.layout().blockSize()));
    }

    private long keyVector(long table, int position, int kvHead) {
      return call.keys()
          + call.layout().keys(block(table, position), kvHead)
          + 4L * (position % call.layout().blockSize());
    }

    /** The scores of four queries with the keys of a chunk, two vectors of keys at a time. */
    private void score(int query, long table, int from, int count, int kvHead) {
      long q = scratch.query(query);
      long stride = scratch.headBytes();
      long keyStride = call.layout().keyStride();
      int headDim = call.layout().headDim();
      for (int token = 0; token < count; token += 2 * Lanes.COUNT) {
        long keys = keyVector(table, from + token, kvHead);
        boolean isPair = token + Lanes.COUNT < count;
        long others = isPair ? keyVector(table, from + token + Lanes.COUNT, kvHead) : keys;
        long to = scratch.scores(query) + 4L * token;
        scoreVectors(q, stride, keys, others, keyStride, headDim, to);
      }
    }

    private static void scoreVectors(
        long q, long stride, long keys, long others, long keyStride, int headDim, long to) {
      FloatVector a0 = Lanes.zero();
      FloatVector a1 = Lanes.zero();
      FloatVector a2 = Lanes.zero();
      FloatVector a3 = Lanes.zero();
      FloatVector b0 = Lanes.zero();
      FloatVector b1 = Lanes.zero();
      FloatVector b2 = Lanes.zero();
      FloatVector b3 = Lanes.zero();
      for (int i = 0; i < headDim; i++) {
        FloatVector a = Lanes.load(keys + i * keyStride);
        FloatVector b = Lanes.load(others + i * keyStride);
        long element = q + 4L * i;
        FloatVector q0 = Lanes.broadcast(NativeMemory.getFloat(element));
        a0 = q0.fma(a, a0);
        b0 = q0.fma(b, b0);
        FloatVector q1 = Lanes.broadcast(NativeMemory.getFloat(element + stride));
        a1 = q1.fma(a, a1);
        b1 = q1.fma(b, b1);
        FloatVector q2 = Lanes.broadcast(NativeMemory.getFloat(element + 2 * stride));
        a2 = q2.fma(a, a2);
        b2 = q2.fma(b, b2);
        FloatVector q3 = Lanes.broadcast(NativeMemory.getFloat(element + 3 * stride));
        a3 = q3.fma(a, a3);
        b3 = q3.fma(b, b3);
      }
      // The second vector of an odd last pair lies in the chunk's unused end.
      storePair(a0, b0, to);
      storePair(a1, b1, to + 4L * CHUNK);
      storePair(a2, b2, to + 8L * CHUNK);
      storePair(a3, b3, to + 12L * CHUNK);
    }

    private static void storePair(FloatVector first, FloatVector second, long address) {
      Lanes.store(first, address);
      Lanes.store(second, address + Lanes.BYTES);
    }

    /** Turns the scores below the limit into weights, all others of the chunk into zeros. */
    private void weigh(int query, int limit, int count) {
      long scores = scratch.scores(query);
      FloatVector largest = Lanes.broadcast(NativeMemory.getFloat(scratch.largest(query)));
      for (int token = 0; token < count; token += Lanes.COUNT) {
        largest = largest.max(masked(scores, token, limit));
      }
      float before = NativeMemory.getFloat(scratch.largest(query));
      float after = largest.reduceLanes(VectorOperators.MAX);
      FloatVector sum = Lanes.zero();
      for (int token = 0; token < count; token += Lanes.COUNT) {
        FloatVector weight = Lanes.exp(masked(scores, token, limit).sub(after));
        Lanes.store(weight, scores + 4L * token);
        sum = sum.add(weight);
      }
      FloatVector rescaling = Lanes.exp(Lanes.broadcast(before - after));
      long sumAt = scratch.weightSum(query);
      Lanes.store(Lanes.load(sumAt).fma(rescaling, sum), sumAt);
      NativeMemory.setFloat(scratch.largest(query), after);
      NativeMemory.setFloat(scratch.rescaling(query), rescaling.lane(0));
    }

    private static FloatVector masked(long scores, int token, int limit) {
      FloatVector score = Lanes.load(scores + 4L * token);
      if (token + Lanes.COUNT <= limit) {
        return score;
      }
      VectorMask<Float> valid = Lanes.FLOATS.indexInRange(token, Math.max(limit, token));
      return Lanes.broadcast(Float.NEGATIVE_INFINITY).blend(score, valid);
    }

    /** Rescales the sums of four queries and adds a chunk's weighted values to them. */
    private void addValues(int query, long table, int from, int count, int kvHead) {
      int vectors = Math.ceilDiv(call.layout().headDim(), Lanes.COUNT);
      for (int vector = 0; vector < vectors; vector += 2) {
        long second = Math.min(vector + 1, vectors - 1) - (long) vector;
        addVectors(query, vector, second * Lanes.BYTES, table, from, count, kvHead);
      }
    }

    private void addVectors(
        int query, int vector, long second, long table, int from, int count, int kvHead) {
      long sums = scratch.sum(query) + (long) vector * Lanes.BYTES;
      long stride = scratch.headBytes();
      int blockSize = call.layout().blockSize();
      rescale(query, sums, second);
      for (int token = 0; token < count; token += blockSize) {
        long values =
            call.values()
                + call.layout().values(block(table, from + token), kvHead)
                + (long) vector * Lanes.BYTES;
        addBlock(
            scratch.scores(query) + 4L * token,
            values,
            second,
            call.layout().valueStride(),
            Math.min(blockSize, count - token),
            sums,
            stride);
      }
    }

    private void rescale(int query, long sums, long second) {
      for (int i = 0; i < GROUP; i++) {
        float rescaling = NativeMemory.getFloat(scratch.rescaling(query + i));
        long at = sums + i * scratch.headBytes();
        FloatVector a = Lanes.load(at).mul(rescaling);
        FloatVector b = Lanes.load(at + second).mul(rescaling);
        Lanes.store(b, at + second);
        Lanes.store(a, at);
      }
    }

    private static void addBlock(
        long weights,
        long values,
        long second,
        long valueStride,
        int tokens,
        long sums,
        long stride) {
      FloatVector a0 = Lanes.load(sums);
      FloatVector b0 = Lanes.load(sums + second);
      FloatVector a1 = Lanes.load(sums + stride);
      FloatVector b1 = Lanes.load(sums + stride + second);
      FloatVector a2 = Lanes.load(sums + 2 * stride);
      FloatVector b2 = Lanes.load(sums + 2 * stride + second);
      FloatVector a3 = Lanes.load(sums + 3 * stride);
      FloatVector b3 = Lanes.load(sums + 3 * stride + second);
      long v = values;
      for (int i = 0; i < tokens; i++, v += valueStride) {
        FloatVector a = Lanes.load(v);
        FloatVector b = Lanes.load(v + second);
        long weight = weights + 4L * i;
        FloatVector w0 = Lanes.broadcast(NativeMemory.getFloat(weight));
        a0 = w0.fma(a, a0);
        b0 = w0.fma(b, b0);
        FloatVector w1 = Lanes.broadcast(NativeMemory.getFloat(weight + 4L * CHUNK));
        a1 = w1.fma(a, a1);
        b1 = w1.fma(b, b1);
        FloatVector w2 = Lanes.broadcast(NativeMemory.getFloat(weight + 8L * CHUNK));
        a2 = w2.fma(a, a2);
        b2 = w2.fma(b, b2);
        FloatVector w3 = Lanes.broadcast(NativeMemory.getFloat(weight + 12L * CHUNK));
        a3 = w3.fma(a, a3);
        b3 = w3.fma(b, b3);
      }
      storeSums(a0, b0, sums, second);
      storeSums(a1, b1, sums + stride, second);
      storeSums(a2, b2, sums + 2 * stride, second);
      storeSums(a3, b3, sums + 3 * stride, second);
    }

    private static void storeSums(FloatVector first, FloatVector other, long address, long second) {
      Lanes.store(other, address + second);
      Lanes.store(first, address);
    }

    private void finish(int query, int firstRow, int kvHead) {
      Lanes.store(Lanes.load(scratch.weightSum(query)), scratch.spare());
      float weights = Lanes.sumStored(scratch.spare());
      float inverse = call.partial() ? 1 : 1 / weights;
      int headDim = call.layout().headDim();
      int row = firstRow + query / call.heads();
      int head = query % call.heads();
      long to = call.result(row, kvHead, head);
      for (int i = 0; i < headDim; i++) {
        NativeMemory.setFloat(
            to + 4L * i, NativeMemory.getFloat(scratch.sum(query) + 4L * i) * inverse);
      }
      if (call.partial()) {
        long largest = call.largest(row, head);
        NativeMemory.setFloat(largest, NativeMemory.getFloat(scratch.largest(query)));
        NativeMemory.setFloat(largest + 4L * call.groupHeads(), weights);
      }
    }
  }
}
