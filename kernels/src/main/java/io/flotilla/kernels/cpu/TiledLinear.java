package io.flotilla.kernels.cpu;

import io.flotilla.kernels.Tensor;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Cuts matrix products into tiles: some outputs of one matrix, for all rows. */
final class TiledLinear {
  private static final int TILES_PER_THREAD = 8;

  /** Tiles have a multiple of this many outputs, but for a matrix's last. */
  private static final int GRANULE = 4;

  private final ThreadTeam team;
  private final TileKernels kernels;

  TiledLinear(ThreadTeam team, TileKernels kernels) {
    this.team = team;
    this.kernels = kernels;
  }

  /** See {@link io.flotilla.kernels.Ops#linear}. */
  void run(Tensor x, List<Tensor> weights, @Nullable List<Tensor> biases, Tensor out) {
    if (x.rows() == 0) {
      return;
    }
    int tileOutputs = tileOutputs(x, weights, out.columns());
    int[] firstTiles = new int[weights.size() + 1];
    LinearTile[] matrices = new LinearTile[weights.size()];
    int column = 0;
    for (int i = 0; i < matrices.length; i++) {
      Tensor weight = weights.get(i);
      matrices[i] =
          new LinearTile(
              NativeMemory.address(x),
              x.rowBytes(),
              x.rows(),
              x.columns(),
              weight.type(),
              NativeMemory.address(weight),
              weight.rowBytes(),
              weight.rows(),
              biases == null ? 0 : NativeMemory.address(biases.get(i)),
              NativeMemory.address(out) + 4L * column,
              out.rowBytes());
      firstTiles[i + 1] = firstTiles[i] + Math.ceilDiv(weight.rows(), tileOutputs);
      column += weight.rows();
    }
    team.run(
        firstTiles[matrices.length],
        (tile, worker) -> {
          int i = 0;
          while (tile >= firstTiles[i + 1]) {
            i++;
          }
          int first = (tile - firstTiles[i]) * tileOutputs;
          kernels.multiply(matrices[i].slice(first, tileOutputs), worker);
        });
  }

  private int tileOutputs(Tensor x, List<Tensor> weights, int outputs) {
    int most = outputs / (team.threads() * TILES_PER_THREAD);
    for (Tensor weight : weights) {
      most = Math.min(most, kernels.mostOutputs(x.rows(), x.columns(), weight.type()));
    }
    return Math.max(most / GRANULE, 1) * GRANULE;
  }
}
