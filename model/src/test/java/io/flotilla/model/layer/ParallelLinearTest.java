package io.flotilla.model.layer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.flotilla.checkpoint.CheckpointException;
import io.flotilla.kernels.Tensor;
import io.flotilla.model.layer.ColumnParallelLinear.Part;
import java.util.List;
import org.junit.jupiter.api.Test;

class ParallelLinearTest {
  private static final List<Part> PARTS = List.of(new Part("a", 2), new Part("b", 4));

  /** The first is {@code [x0, x1]}, the second {@code [x0 + x1, x0 - x1, 2 x0, 3 x1]}. */
  private static FakeWeights weights() {
    return new FakeWeights()
        .floats("a.weight", List.of(2L, 2L), 1, 0, 0, 1)
        .floats("a.bias", List.of(2L), 10, 20)
        .floats("b.weight", List.of(4L, 2L), 1, 1, 1, -1, 2, 0, 0, 3)
        .floats("b.bias", List.of(4L), 30, 40, 50, 60);
  }

  private static float[] columnParallel(OneDevice device, ShardLoader loader, boolean bias) {
    ColumnParallelLinear linear = new ColumnParallelLinear(loader, 2, bias, PARTS);
    Tensor x = device.upload(2, 2, 1, 2, 5, 7);
    Tensor out = device.upload(2, linear.outputs(), new float[2 * linear.outputs()]);
    linear.apply(device.stream(), x, out);
    return device.download(out);
  }

  @Test
  void outputsOfAllPartsFollowEachOther() {
    try (OneDevice device = new OneDevice(weights())) {
      assertThat(columnParallel(device, device.loader(), false))
          .containsExactly(1, 2, 3, -1, 2, 6, 5, 7, 12, -2, 10, 21);
    }
  }

  @Test
  void everyPartAddsItsBias() {
    try (OneDevice device = new OneDevice(weights())) {
      assertThat(columnParallel(device, device.loader(), true))
          .containsExactly(11, 22, 33, 39, 52, 66, 15, 27, 42, 38, 60, 81);
    }
  }

  @Test
  void eachRankHasItsShareOfEveryPart() {
    try (OneDevice device = new OneDevice(weights())) {
      assertThat(columnParallel(device, device.loader(0, 2), true))
          .containsExactly(11, 33, 39, 15, 42, 38);
      assertThat(columnParallel(device, device.loader(1, 2), true))
          .containsExactly(22, 52, 66, 27, 60, 81);
    }
  }

  @Test
  void aMissingBiasIsRefused() {
    FakeWeights weights = new FakeWeights().floats("a.weight", List.of(2L, 2L), 1, 0, 0, 1);
    try (OneDevice device = new OneDevice(weights)) {
      ShardLoader loader = device.loader();
      List<Part> parts = List.of(new Part("a", 2));
      assertThatThrownBy(() -> new ColumnParallelLinear(loader, 2, true, parts))
          .isInstanceOf(CheckpointException.class)
          .hasMessageContaining("a.bias");
    }
  }

  @Test
  void aRowParallelLinearAddsItsBiasOnce() {
    try (OneDevice device = new OneDevice(weights())) {
      RowParallelLinear linear = new RowParallelLinear(device.loader(), "b", 2, 4, true);
      Tensor out = device.upload(1, 4, 0, 0, 0, 0);
      linear.apply(device.stream(), device.upload(1, 2, 1, 2), out);
      assertThat(device.download(out)).containsExactly(33, 39, 52, 66);
    }
  }

  @Test
  void aRowParallelLinearRefusesRanksThatCannotSum() {
    try (OneDevice device = new OneDevice(weights())) {
      ShardLoader loader = device.loader(0, 2);
      assertThatThrownBy(() -> new RowParallelLinear(loader, "b", 2, 4, false))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessage("one of 2 ranks has 0 to sum its part of b with");
    }
  }
}
