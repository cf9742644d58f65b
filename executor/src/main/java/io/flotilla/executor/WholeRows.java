package io.flotilla.executor;

import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import io.flotilla.model.sampling.Sampler;
import io.flotilla.model.sampling.SamplingParameters;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;

/** Scoring on a rank that has all logits of a row. */
final class WholeRows implements RowScoring {
  private final Stream stream;
  private final AtomicLong progress;
  private final MemorySegment logits;
  private final float[] row;
  private final Sampler sampler;

  /**
   * @param rows scored at once
   * @param progress grows with every row scored
   */
  WholeRows(int vocabularySize, int rows, Stream stream, Arena arena, AtomicLong progress) {
    this.stream = stream;
    this.progress = progress;
    this.logits = arena.allocate(ValueLayout.JAVA_FLOAT, (long) rows * vocabularySize);
    this.row = new float[vocabularySize];
    this.sampler = new Sampler(vocabularySize);
  }

  @Override
  public long bytes() {
    return logits.byteSize();
  }

  @Override
  public void score(Tensor computed, List<ScoringTask> tasks) {
    stream.download(computed.buffer(), logits.asSlice(0, computed.buffer().bytes()));
    stream.synchronize();
    for (int i = 0; i < tasks.size(); i++) {
      ScoringTask task = tasks.get(i);
      SamplingParameters parameters = task.slot().sampling();
      if (task.isSample()) {
        sample(i, task, parameters);
      } else {
        readRow(i);
        task.scored(sampler.logprobs(row, task.target(), parameters.promptLogprobs()));
      }
      progress.incrementAndGet();
    }
  }

  private void sample(int index, ScoringTask task, SamplingParameters parameters) {
    Slot slot = task.slot();
    readRow(index);
    int token = sampler.sample(row, parameters, slot.nextIndex(), slot.counts());
    task.sampled(token);
    if (token != Sampler.NONE && parameters.logprobs() >= 0) {
      // Sampling changed the row; log-probabilities are of the model's own logits.
      readRow(index);
      task.scored(sampler.logprobs(row, token, parameters.logprobs()));
    }
  }

  private void readRow(int index) {
    long offset = (long) index * row.length * Float.BYTES;
    MemorySegment.copy(logits, ValueLayout.JAVA_FLOAT, offset, row, 0, row.length);
  }
}
