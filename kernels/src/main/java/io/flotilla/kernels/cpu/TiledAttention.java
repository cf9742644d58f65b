package io.flotilla.kernels.cpu;

import io.flotilla.kernels.AttentionBatch;
import io.flotilla.kernels.KvCache;
import io.flotilla.kernels.Tensor;

/**
 * Cuts attention into tiles: one key-value head for a few adjacent rows of a sequence. The query
 * heads that share it, times the rows, are a tile's queries.
 */
final class TiledAttention {
  /** Positions that are walked together, whatever a step computes; whole blocks. */
  static final int CHUNK = 128;

  private static final int QUERIES = 16;

  private final ThreadTeam team;
  private final TileKernels kernels;
  private int[] tileRows = new int[0];
  private int[] tileSequences = new int[0];

  TiledAttention(ThreadTeam team, TileKernels kernels) {
    this.team = team;
    this.kernels = kernels;
  }

  /** See {@link io.flotilla.kernels.Ops#attention}. */
  void run(Tensor queries, KvCache cache, AttentionBatch batch, float scale, Tensor out) {
    int heads = cache.shape().heads() / cache.shape().kvHeads();
    run(queries, cache, batch, scale, out, heads, false);
  }

  /** See {@link io.flotilla.kernels.Ops#attentionPart}. */
  void runPart(Tensor queries, KvCache cache, AttentionBatch batch, float scale, Tensor out) {
    int heads = cache.shape().heads() * cache.parts();
    run(queries, cache, batch, scale, out, heads, true);
  }

  private void run(
      Tensor queries,
      KvCache cache,
      AttentionBatch batch,
      float scale,
      Tensor out,
      int heads,
      boolean partial) {
    int kvHeads = cache.shape().kvHeads();
    int rowsPerTile = Math.max(1, QUERIES / heads);
    int rowTiles = cutRows(batch, rowsPerTile);
    int[] rows = tileRows;
    int[] sequences = tileSequences;
    AttentionCall call =
        new AttentionCall(
            NativeMemory.address(queries),
            queries.rowBytes(),
            batch.rows() * queries.rowBytes(),
            NativeMemory.address(out),
            out.rowBytes(),
            batch.rows() * out.rowBytes(),
            NativeMemory.address(batch.positions()),
            NativeMemory.address(batch.blockTables()),
            batch.blockTables().rowBytes(),
            NativeMemory.address(cache.keys()),
            NativeMemory.address(cache.values()),
            KvLayout.of(cache),
            heads,
            partial ? cache.shape().heads() : heads,
            cache.part(),
            cache.parts(),
            partial,
            rowsPerTile,
            scale);
    team.run(
        rowTiles * kvHeads,
        (tile, worker) -> {
          int index = tile / kvHeads;
          int count = Math.min(rowsPerTile, rows[index + 1] - rows[index]);
          kernels.attend(
              new AttentionTile(call, rows[index], count, sequences[index], tile % kvHeads),
              worker);
        });
  }

  /** Cuts the rows into tiles, none over a border of sequences. */
  private int cutRows(AttentionBatch batch, int rowsPerTile) {
    int most = batch.rows() / rowsPerTile + batch.sequences() + 1;
    if (tileRows.length < most) {
      tileRows = new int[most];
      tileSequences = new int[most];
    }
    long firstRows = NativeMemory.address(batch.firstRows());
    int tiles = 0;
    for (int sequence = 0; sequence < batch.sequences(); sequence++) {
      int end = NativeMemory.getInt(firstRows + 4L * (sequence + 1));
      for (int row = NativeMemory.getInt(firstRows + 4L * sequence);
          row < end;
          row += rowsPerTile) {
        tileRows[tiles] = row;
        tileSequences[tiles++] = sequence;
      }
    }
    tileRows[tiles] = batch.rows();
    return tiles;
  }
}
