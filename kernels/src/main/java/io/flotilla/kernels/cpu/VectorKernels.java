package io.flotilla.kernels.cpu;

import io.flotilla.kernels.TensorType;
import java.lang.foreign.Arena;
import jdk.incubator.vector.FloatVector;

/** Tiles on the Vector API. */
final class VectorKernels implements TileKernels {
  private final VectorLinear linear;
  private final VectorAttention attention;

  /**
   * @param arena for the workers' scratch memory
   */
  VectorKernels(int workers, Arena arena) {
    this.linear = new VectorLinear(workers, arena);
    this.attention = new VectorAttention(workers, arena);
  }

  @Override
  public int mostOutputs(int rows, int columns, TensorType type) {
    return VectorLinear.mostOutputs(rows, columns, type);
  }

  @Override
  public void multiply(LinearTile tile, int worker) {
    linear.multiply(tile, worker);
  }

  @Override
  public void attend(AttentionTile tile, int worker) {
    attention.attend(tile, worker);
  }

  @Override
  public void addScaled(long to, float scale, long from, int columns) {
    int whole = Lanes.FLOATS.loopBound(columns);
    for (int i = 0; i < whole; i += Lanes.COUNT) {
      FloatVector product = Lanes.load(from + 4L * i).mul(scale);
      Lanes.store(Lanes.load(to + 4L * i).add(product), to + 4L * i);
    }
    for (int i = whole; i < columns; i++) {
      float product = NativeMemory.getFloat(from + 4L * i) * scale;
      NativeMemory.setFloat(to + 4L * i, NativeMemory.getFloat(to + 4L * i) + product);
    }
  }

  @Override
  public void add(long to, long from, int columns) {
    int whole = Lanes.FLOATS.loopBound(columns);
    for (int i = 0; i < whole; i += Lanes.COUNT) {
      Lanes.store(Lanes.load(to + 4L * i).add(Lanes.load(from + 4L * i)), to + 4L * i);
    }
    for (int i = whole; i < columns; i++) {
      NativeMemory.setFloat(
          to + 4L * i, NativeMemory.getFloat(to + 4L * i) + NativeMemory.getFloat(from + 4L * i));
    }
  }

  @Override
  public void normalise(long x, long weights, int columns, float epsilon, long out) {
    float scale = (float) (1 / Math.sqrt(squares(x, columns) / columns + epsilon));
    int whole = Lanes.FLOATS.loopBound(columns);
    for (int i = 0; i < whole; i += Lanes.COUNT) {
      long offset = 4L * i;
      Lanes.store(
          Lanes.load(x + offset).mul(scale).mul(Lanes.load(weights + offset)), out + offset);
    }
    for (int i = whole; i < columns; i++) {
      long offset = 4L * i;
      NativeMemory.setFloat(
          out + offset,
          NativeMemory.getFloat(x + offset) * scale * NativeMemory.getFloat(weights + offset));
    }
  }

  private static double squares(long x, int columns) {
    FloatVector squares = Lanes.zero();
    int whole = Lanes.FLOATS.loopBound(columns);
    for (int i = 0; i < whole; i += Lanes.COUNT) {
      FloatVector value = Lanes.load(x + 4L * i);
      squares = value.fma(value, squares);
    }
    double sum = 0;
    for (int lane = 0; lane < Lanes.COUNT; lane++) {
      sum += squares.lane(lane);
    }
    for (int i = whole; i < columns; i++) {
      float value = NativeMemory.getFloat(x + 4L * i);
      sum += value * value;
    }
    return sum;
  }

  @Override
  public void gate(long gate, long up, int columns, long out) {
    int whole = Lanes.FLOATS.loopBound(columns);
    for (int i = 0; i < whole; i += Lanes.COUNT) {
      long offset = 4L * i;
      FloatVector value = silu(Lanes.load(gate + offset));
      Lanes.store(value.mul(Lanes.load(up + offset)), out + offset);
    }
    for (int i = whole; i < columns; i++) {
      long offset = 4L * i;
      float value = silu(Lanes.broadcast(NativeMemory.getFloat(gate + offset))).lane(0);
      NativeMemory.setFloat(out + offset, value * NativeMemory.getFloat(up + offset));
    }
  }

  private static FloatVector silu(FloatVector x) {
    return x.div(Lanes.exp(x.neg()).add(1f));
  }

  @Override
  public void rotateHalves(long head, long angles, int pairs) {
    long half = 4L * pairs;
    int whole = Lanes.FLOATS.loopBound(pairs);
    for (int i = 0; i < whole; i += Lanes.COUNT) {
      long at = head + 4L * i;
      FloatVector first = Lanes.load(at);
      FloatVector second = Lanes.load(at + half);
      FloatVector cosine = Lanes.load(angles + 4L * i);
      FloatVector sine = Lanes.load(angles + half + 4L * i);
      Lanes.store(first.mul(cosine).sub(second.mul(sine)), at);
      Lanes.store(second.mul(cosine).add(first.mul(sine)), at + half);
    }
    for (int i = whole; i < pairs; i++) {
      long at = head + 4L * i;
      RotaryStore.rotate(at, at + half, angles + 4L * i, angles + half + 4L * i);
    }
  }
}
