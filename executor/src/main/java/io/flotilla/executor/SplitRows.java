package io.flotilla.executor;

import io.flotilla.kernels.Collectives;
import io.flotilla.kernels.Device;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import io.flotilla.model.CausalLm;
import io.flotilla.model.layer.Share;
import io.flotilla.model.sampling.Sampler;
import io.flotilla.model.sampling.SamplingParameters;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Scoring on ranks that each have the logits of a part of the vocabulary. Every rank learns every
 * token. What a row needs decides how, and gives what one rank would give from the same logits:
 *
 * <ul>
 *   <li>greedy choices and draws from the whole vocabulary are made in each part, with noise that
 *       is keyed by token; the best of the parts' choices wins;
 *   <li>for top-k the first rank gets the k likeliest tokens of each part and chooses;
 *   <li>for log-probabilities, and for top-p alone, it gets the whole row.
 * </ul>
 */
final class SplitRows implements RowScoring {
  private static final int MOST_CANDIDATES = 1024;
  private static final int CHOICE_BYTES = Double.BYTES + Long.BYTES;
  private static final int CANDIDATE_BYTES = Integer.BYTES + Float.BYTES;

  private final Collectives ranks;
  private final Stream stream;
  private final AtomicLong progress;
  private final int vocabularySize;
  private final Share share;
  private final MemorySegment logits;
  private final float[] row;
  private final float[] largest;
  private final Sampler sampler;
  private final RankExchange exchange;
  private final CollectedRows collected;

  private enum Way {
    PARTS,
    CANDIDATES,
    WHOLE
  }

  /**
   * @param rows scored at once
   * @param progress grows with every row scored
   */
  SplitRows(
      CausalLm model,
      Collectives ranks,
      int rows,
      Device device,
      Stream stream,
      Arena arena,
      AtomicLong progress) {
    this.ranks = ranks;
    this.stream = stream;
    this.progress = progress;
    this.vocabularySize = model.vocabularySize();
    this.share = model.vocabularyShare();
    this.logits = arena.allocate(ValueLayout.JAVA_FLOAT, (long) rows * share.count());
    this.row = new float[share.count()];
    this.largest = new float[rows];
    this.sampler = new Sampler(share.first(), share.count());
    int candidates = Math.min(MOST_CANDIDATES, vocabularySize) * CANDIDATE_BYTES;
    long exchanged = Math.max(candidates, (long) rows * CHOICE_BYTES);
    this.exchange = new RankExchange(ranks, device, stream, arena, exchanged);
    this.collected = new CollectedRows(model, ranks, device, stream, arena);
  }

  @Override
  public long bytes() {
    return logits.byteSize() + exchange.bytes() + collected.bytes();
  }

  @Override
  public void score(Tensor computed, List<ScoringTask> tasks) {
    stream.download(computed.buffer(), logits.asSlice(0, computed.buffer().bytes()));
    stream.synchronize();
    adjustRows(tasks);
    if (tasks.stream().anyMatch(this::draws)) {
      exchangeLargest(tasks.size());
    }
    chooseInParts(tasks);
    boolean collects = false;
    for (int i = 0; i < tasks.size(); i++) {
      Way way = way(tasks.get(i));
      collects |= way != Way.PARTS;
      switch (way) {
        case PARTS -> {}
        case CANDIDATES -> collectCandidates(i, tasks.get(i));
        case WHOLE -> collected.score(computed.sliceRows(i, 1), tasks.get(i));
      }
      progress.incrementAndGet();
    }
    if (collects) {
      tellTokens(tasks);
    }
  }

  private Way way(ScoringTask task) {
    SamplingParameters parameters = task.slot().sampling();
    if (!task.isSample() || parameters.logprobs() >= 0) {
      return Way.WHOLE;
    }
    if (parameters.temperature() == 0) {
      return Way.PARTS;
    }
    if (parameters.topK() > 0 && parameters.topK() <= MOST_CANDIDATES) {
      return Way.CANDIDATES;
    }
    boolean filters = parameters.topP() < 1 || isInside(parameters.topK());
    return filters ? Way.WHOLE : Way.PARTS;
  }

  /** Whether the row is drawn from in parts. */
  private boolean draws(ScoringTask task) {
    return way(task) == Way.PARTS && task.slot().sampling().temperature() != 0;
  }

  private boolean isInside(int topK) {
    return topK > 0 && topK < vocabularySize;
  }

  /** Applies penalties and the like to the rows that this rank chooses from, and keeps them. */
  private void adjustRows(List<ScoringTask> tasks) {
    for (int i = 0; i < tasks.size(); i++) {
      if (way(tasks.get(i)) == Way.WHOLE) {
        largest[i] = Float.NEGATIVE_INFINITY;
        continue;
      }
      Slot slot = tasks.get(i).slot();
      readRow(i);
      sampler.adjust(row, slot.sampling(), slot.nextIndex(), slot.counts());
      largest[i] = Sampler.largestFinite(row);
      MemorySegment.copy(row, 0, logits, ValueLayout.JAVA_FLOAT, offset(i), row.length);
    }
  }

  /**
   * Draws are compared by their logits less the largest of all, so that every part rounds alike.
   * Where there is no temperature, each part chooses by its own.
   */
  private void exchangeLargest(int rows) {
    MemorySegment.copy(largest, 0, exchange.mine(), ValueLayout.JAVA_FLOAT, 0, rows);
    exchange.gather((long) rows * Float.BYTES);
  }

  private float largestOfAll(int index, int rows) {
    float found = Float.NEGATIVE_INFINITY;
    for (int rank = 0; rank < ranks.size(); rank++) {
      long place = (long) rank * rows + index;
      found = Math.max(found, exchange.all().getAtIndex(ValueLayout.JAVA_FLOAT, place));
    }
    return found;
  }

  private void chooseInParts(List<ScoringTask> tasks) {
    int rows = tasks.size();
    for (int i = 0; i < rows; i++) {
      int token = Sampler.NONE;
      double score = Double.NEGATIVE_INFINITY;
      if (way(tasks.get(i)) == Way.PARTS) {
        Slot slot = tasks.get(i).slot();
        readRow(i);
        float from = draws(tasks.get(i)) ? largestOfAll(i, rows) : largest[i];
        token = sampler.choose(row, from, slot.sampling(), slot.nextIndex());
        score = sampler.score();
      }
      exchange.mine().setAtIndex(ValueLayout.JAVA_DOUBLE, 2L * i, score);
      exchange.mine().setAtIndex(ValueLayout.JAVA_LONG, 2L * i + 1, token);
    }
    exchange.gather((long) rows * CHOICE_BYTES);
    for (int i = 0; i < rows; i++) {
      if (way(tasks.get(i)) == Way.PARTS) {
        tasks.get(i).sampled(bestOfParts(i, rows));
      }
    }
  }

  /** Parts are in the order of ids, so that the first of equals has the lowest id. */
  private int bestOfParts(int index, int rows) {
    int token = Sampler.NONE;
    double best = Double.NEGATIVE_INFINITY;
    for (int rank = 0; rank < ranks.size(); rank++) {
      long place = 2L * ((long) rank * rows + index);
      double score = exchange.all().getAtIndex(ValueLayout.JAVA_DOUBLE, place);
      if (score > best) {
        best = score;
        token = (int) exchange.all().getAtIndex(ValueLayout.JAVA_LONG, place + 1);
      }
    }
    return token;
  }

  private void collectCandidates(int index, ScoringTask task) {
    int most = Math.min(task.slot().sampling().topK(), vocabularySize);
    long bytes = (long) most * CANDIDATE_BYTES;
    readRow(index);
    int[] ids = sampler.likeliest(row, most);
    MemorySegment message = exchange.mine();
    for (int i = 0; i < most; i++) {
      boolean there = i < ids.length;
      message.setAtIndex(ValueLayout.JAVA_INT, 2L * i, there ? ids[i] : Sampler.NONE);
      float logit = there ? row[ids[i] - share.first()] : 0;
      message.setAtIndex(ValueLayout.JAVA_FLOAT, 2L * i + 1, logit);
    }
    if (ranks.rank() > 0) {
      exchange.send(bytes, 0);
      return;
    }
    collected.clear();
    collected.addCandidates(message, most);
    for (int peer = 1; peer < ranks.size(); peer++) {
      exchange.receive(bytes, peer);
      collected.addCandidates(message, most);
    }
    collected.choose(task);
  }

  /** The other ranks learn what the first has chosen. */
  private void tellTokens(List<ScoringTask> tasks) {
    for (int i = 0; i < tasks.size(); i++) {
      exchange.mine().setAtIndex(ValueLayout.JAVA_INT, i, tasks.get(i).token());
    }
    exchange.broadcast((long) tasks.size() * Integer.BYTES, 0);
    for (int i = 0; i < tasks.size() && ranks.rank() > 0; i++) {
      ScoringTask task = tasks.get(i);
      if (task.isSample() && way(task) != Way.PARTS) {
        task.sampled(exchange.mine().getAtIndex(ValueLayout.JAVA_INT, i));
      }
    }
  }

  private void readRow(int index) {
    MemorySegment.copy(logits, ValueLayout.JAVA_FLOAT, offset(index), row, 0, row.length);
  }

  private long offset(int index) {
    return (long) index * row.length * Float.BYTES;
  }
}
