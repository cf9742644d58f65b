package io.flotilla.kernels.cpu;

import io.flotilla.kernels.AttentionShape;
import io.flotilla.kernels.Tensor;
import io.flotilla.kernels.cpu.ExpertMixture.ScaledAddition;

/**
 * Merges attention over parts of the tokens: each part's sums were scaled by its own largest score,
 * and are brought to the largest of all (arXiv 1805.02867).
 */
final class AttentionMerge {
  private final ThreadTeam team;
  private final ScaledAddition addition;

  AttentionMerge(ThreadTeam team, ScaledAddition addition) {
    this.team = team;
    this.addition = addition;
  }

  /** See {@link io.flotilla.kernels.Ops#mergeAttention}. */
  void run(Tensor parts, AttentionShape shape, Tensor out) {
    int count = out.rows() == 0 ? 0 : parts.rows() / out.rows();
    team.run(
        out.rows(),
        (row, _) -> {
          for (int head = 0; head < shape.heads(); head++) {
            merge(parts, count, row, head, shape, out);
          }
        });
  }

  private void merge(Tensor parts, int count, int row, int head, AttentionShape shape, Tensor out) {
    long first = NativeMemory.address(parts) + row * parts.rowBytes();
    long toNext = out.rows() * parts.rowBytes();
    long largestAt = 4L * (shape.queryColumns() + head);
    long sumAt = largestAt + 4L * shape.heads();
    float largest = Float.NEGATIVE_INFINITY;
    for (int part = 0; part < count; part++) {
      long at = first + part * toNext;
      largest = Math.max(largest, NativeMemory.getFloat(at + largestAt));
    }
    float[] scales = new float[count];
    float sum = 0;
    for (int part = 0; part < count; part++) {
      long at = first + part * toNext;
      float below = NativeMemory.getFloat(at + largestAt) - largest;
      scales[part] = below == 0 ? 1 : (float) StrictMath.exp(below);
      sum += scales[part] * NativeMemory.getFloat(at + sumAt);
    }
    long values = 4L * head * shape.headDim();
    long to = NativeMemory.address(out) + row * out.rowBytes() + values;
    NativeMemory.clear(to, 4L * shape.headDim());
    for (int part = 0; part < count; part++) {
      addition.add(to, scales[part] / sum, first + part * toNext + values, shape.headDim());
    }
  }
}
