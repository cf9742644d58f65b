package io.flotilla.executor;

import io.flotilla.kernels.Buffer;
import io.flotilla.kernels.Collectives;
import io.flotilla.kernels.Device;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import io.flotilla.model.CausalLm;
import io.flotilla.model.layer.Share;
import io.flotilla.model.layer.TensorParallel;
import io.flotilla.model.sampling.Sampler;
import io.flotilla.model.sampling.SamplingParameters;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;

/**
 * Rows that the first rank of a stage puts together from the parts of all. The other ranks only
 * send theirs.
 */
final class CollectedRows {
  private final Collectives ranks;
  private final Stream stream;
  private final Share[] shares;
  private final MemorySegment part;
  private final Buffer received;
  private final float[] row;
  private final float[] changed;
  private final Sampler sampler;

  CollectedRows(CausalLm model, Collectives ranks, Device device, Stream stream, Arena arena) {
    int size = ranks.rank() == 0 ? model.vocabularySize() : 0;
    this.ranks = ranks;
    this.stream = stream;
    this.shares = new Share[ranks.size()];
    for (int rank = 0; rank < shares.length; rank++) {
      shares[rank] = new TensorParallel(rank, shares.length).vocabulary(model.vocabularySize());
    }
    this.part = arena.allocate(ValueLayout.JAVA_FLOAT, size == 0 ? 0 : shares[0].count());
    this.received = device.allocate(part.byteSize());
    this.row = new float[size];
    this.changed = new float[size];
    this.sampler = new Sampler(size);
  }

  /** Bytes on host and device. */
  long bytes() {
    return 2 * part.byteSize();
  }

  /**
   * Completes a task on the first rank.
   *
   * @param logits this rank's part of the row
   */
  void score(Tensor logits, ScoringTask task) {
    if (ranks.rank() > 0) {
      ranks.send(stream, logits.buffer(), 0);
      return;
    }
    read(logits.buffer(), 0);
    for (int peer = 1; peer < shares.length; peer++) {
      Buffer from = received.slice(0, (long) shares[peer].count() * Float.BYTES);
      ranks.receive(stream, from, peer);
      read(from, peer);
    }
    SamplingParameters parameters = task.slot().sampling();
    if (!task.isSample()) {
      task.scored(sampler.logprobs(row, task.target(), parameters.promptLogprobs()));
      return;
    }
    System.arraycopy(row, 0, changed, 0, row.length);
    Slot slot = task.slot();
    int token = sampler.sample(changed, parameters, slot.nextIndex(), slot.counts());
    task.sampled(token);
    if (token != Sampler.NONE && parameters.logprobs() >= 0) {
      task.scored(sampler.logprobs(row, token, parameters.logprobs()));
    }
  }

  private void read(Buffer from, int rank) {
    stream.download(from, part.asSlice(0, from.bytes()));
    stream.synchronize();
    Share share = shares[rank];
    MemorySegment.copy(part, ValueLayout.JAVA_FLOAT, 0, row, share.first(), share.count());
  }

  /** Begins a row of which only some logits are known. */
  void clear() {
    Arrays.fill(row, Float.NEGATIVE_INFINITY);
  }

  /**
   * Adds logits that are adjusted already.
   *
   * @param candidates pairs of id and logit; {@code Sampler.NONE} for none
   */
  void addCandidates(MemorySegment candidates, int count) {
    for (int i = 0; i < count; i++) {
      int id = candidates.getAtIndex(ValueLayout.JAVA_INT, 2L * i);
      if (id != Sampler.NONE) {
        row[id] = candidates.getAtIndex(ValueLayout.JAVA_FLOAT, 2L * i + 1);
      }
    }
  }

  /** Completes a task from the candidates. */
  void choose(ScoringTask task) {
    Slot slot = task.slot();
    float largest = Sampler.largestFinite(row);
    task.sampled(sampler.choose(row, largest, slot.sampling(), slot.nextIndex()));
  }
}
