package io.flotilla.model.layer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.flotilla.checkpoint.CheckpointException;
import io.flotilla.checkpoint.ElementType;
import io.flotilla.kernels.Tensor;
import io.flotilla.kernels.TensorType;
import java.util.List;
import org.junit.jupiter.api.Test;

class ShardLoaderTest {
  private static final float[] SIX = {1, 2, 3, 4, 5, 6};

  @Test
  void widensVectorsOfEveryFloatingType() {
    FakeWeights weights =
        new FakeWeights()
            .floats("f32", List.of(2L), 1.5f, -3e-9f)
            .shorts("f16", ElementType.F16, 0x3e00, 0x8001)
            .shorts("bf16", ElementType.BF16, 0x3fc0, 0xff7f);
    try (OneDevice device = new OneDevice(weights)) {
      ShardLoader loader = device.loader();
      assertThat(device.download(loader.vector("f32", 2))).containsExactly(1.5f, -3e-9f);
      assertThat(device.download(loader.vector("f16", 2))).containsExactly(1.5f, -0x1p-24f);
      assertThat(device.download(loader.vector("bf16", 2)))
          .containsExactly(1.5f, Float.intBitsToFloat(0xff7f0000));
      assertThat(loader.widenedBytes()).isEqualTo(3 * 2 * Float.BYTES);
    }
  }

  @Test
  void refusesQuantisedVectors() {
    FakeWeights weights = new FakeWeights().blocks("norm", ElementType.Q8_0, List.of(32L), 34);
    try (OneDevice device = new OneDevice(weights)) {
      ShardLoader loader = device.loader();
      assertThatThrownBy(() -> loader.vector("norm", 32))
          .isInstanceOf(CheckpointException.class)
          .hasMessage("norm is a vector of Q8_0; vectors are F32, F16 or BF16");
    }
  }

  @Test
  void givesEachRankItsPartOfAVector() {
    try (OneDevice device = new OneDevice(new FakeWeights().floats("bias", List.of(6L), SIX))) {
      assertThat(device.download(device.loader(0, 3).vectorShard("bias", 6))).containsExactly(1, 2);
      assertThat(device.download(device.loader(2, 3).vectorShard("bias", 6))).containsExactly(5, 6);
    }
  }

  @Test
  void givesEachRankItsRowsWhereTheyLie() {
    try (OneDevice device = new OneDevice(new FakeWeights().floats("w", List.of(3L, 2L), SIX))) {
      ShardLoader last = device.loader(2, 3);
      Tensor rows = last.rowShard("w", 3, 2);
      assertThat(rows.rows()).isEqualTo(1);
      assertThat(device.download(rows)).containsExactly(5, 6);
      assertThat(last.widenedBytes()).isZero();
    }
  }

  @Test
  void givesEachRankItsColumnsWhereTheyLie() {
    try (OneDevice device = new OneDevice(new FakeWeights().floats("w", List.of(2L, 3L), SIX))) {
      Tensor columns = device.loader(1, 3).columnShard("w", 2, 3);
      assertThat(columns.rows()).isEqualTo(2);
      assertThat(columns.columns()).isEqualTo(1);
      assertThat(device.download(columns)).containsExactly(2, 5);
    }
  }

  @Test
  void keepsMatricesInTheirStoredType() {
    FakeWeights weights = new FakeWeights().blocks("w", ElementType.Q4_0, List.of(2L, 64L), 72);
    try (OneDevice device = new OneDevice(weights)) {
      Tensor matrix = device.loader().rowShard("w", 2, 64);
      assertThat(matrix.type()).isEqualTo(TensorType.Q4_0);
      assertThat(matrix.rowBytes()).isEqualTo(36);
    }
  }

  @Test
  void refusesRowsThatEndWithinABlock() {
    FakeWeights weights = new FakeWeights().blocks("w", ElementType.Q8_0, List.of(2L, 48L), 102);
    try (OneDevice device = new OneDevice(weights)) {
      ShardLoader loader = device.loader();
      assertThatThrownBy(() -> loader.rowShard("w", 2, 48))
          .isInstanceOf(CheckpointException.class)
          .hasMessage("w has rows of 48, which do not fill blocks of Q8_0");
    }
  }

  @Test
  void refusesWhatRanksCannotShareEvenly() {
    FakeWeights weights =
        new FakeWeights().floats("w", List.of(3L, 2L), SIX).floats("bias", List.of(6L), SIX);
    try (OneDevice device = new OneDevice(weights)) {
      ShardLoader loader = device.loader(0, 4);
      assertThatThrownBy(() -> loader.rowShard("w", 3, 2))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessage("--tensor-parallel-size 4 does not divide 3 rows of w");
      assertThatThrownBy(() -> loader.columnShard("w", 3, 2))
          .hasMessage("--tensor-parallel-size 4 does not divide 2 columns of w");
      assertThatThrownBy(() -> loader.vectorShard("bias", 6))
          .hasMessage("--tensor-parallel-size 4 does not divide 6 elements of bias");
    }
  }

  @Test
  void aRankLiesInsideItsGroup() {
    assertThatThrownBy(() -> new TensorParallel(2, 2))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("rank 2 of 2");
    assertThatThrownBy(() -> new TensorParallel(-1, 2))
        .isInstanceOf(IllegalArgumentException.class);
  }
}
