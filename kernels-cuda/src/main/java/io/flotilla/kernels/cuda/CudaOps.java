package io.flotilla.kernels.cuda;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.flotilla.kernels.AttentionBatch;
import io.flotilla.kernels.AttentionShape;
import io.flotilla.kernels.Buffer;
import io.flotilla.kernels.ExpertLayer;
import io.flotilla.kernels.KvCache;
import io.flotilla.kernels.Ops;
import io.flotilla.kernels.RopeTable;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import java.lang.foreign.MemorySegment;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** The operations in bf16, accumulated in float. */
final class CudaOps implements Ops {
  private static final int VECTOR = 8;
  private static final int HEADS_A_BLOCK = 8;

  static final String ROTATE = "rotate_and_store";

  private final Launcher launcher;
  private final CudaLinear linear;
  private final CudaAttention attention;
  private final CudaExperts experts;

  CudaOps(Launcher launcher, CudaLinear linear, CudaAttention attention, CudaExperts experts) {
    this.launcher = launcher;
    this.linear = linear;
    this.attention = attention;
    this.experts = experts;
  }

  @Override
  public void embed(Stream stream, Tensor table, Tensor ids, Tensor out) {
    launcher
        .pointer(CudaBuffer.address(table))
        .pointer(CudaBuffer.address(ids))
        .number(out.columns())
        .number((long) table.stride())
        .pointer(CudaBuffer.address(out))
        .number((long) out.stride())
        .launch("embed", Launcher.Grid.of(out.rows(), 256), CudaStream.handle(stream));
  }

  @Override
  public void embedPart(Stream stream, Tensor table, int firstId, Tensor ids, Tensor out) {
    launcher
        .pointer(CudaBuffer.address(table))
        .pointer(CudaBuffer.address(ids))
        .number(firstId)
        .number(table.rows())
        .number(out.columns())
        .number((long) table.stride())
        .pointer(CudaBuffer.address(out))
        .number((long) out.stride())
        .launch("embed_part", Launcher.Grid.of(out.rows(), 256), CudaStream.handle(stream));
  }

  @Override
  public void rmsNorm(Stream stream, Tensor x, Tensor weight, float epsilon, Tensor out) {
    normalise(stream, x, null, weight, epsilon, out);
  }

  @Override
  public void addRmsNorm(
      Stream stream, Tensor residual, Tensor delta, Tensor weight, float epsilon, Tensor out) {
    normalise(stream, residual, delta, weight, epsilon, out);
  }

  private void normalise(
      Stream stream, Tensor x, @Nullable Tensor delta, Tensor weight, float epsilon, Tensor out) {
    requireVectors("rows of a norm", x.columns());
    int threads = Math.min(1024, 32 * Math.ceilDiv(x.columns(), 4 * 32));
    launcher
        .pointer(CudaBuffer.address(x))
        .number((long) x.stride())
        .pointer(delta == null ? 0 : CudaBuffer.address(delta))
        .number(delta == null ? 0L : delta.stride())
        .pointer(CudaBuffer.address(weight))
        .number(epsilon)
        .number(x.columns())
        .pointer(CudaBuffer.address(out))
        .number((long) out.stride())
        .launch(
            "add_rms_norm",
            new Launcher.Grid(x.rows(), 1, 1, threads, x.columns() * Float.BYTES),
            CudaStream.handle(stream));
  }

  @Override
  public void linear(
      Stream stream, Tensor x, List<Tensor> weights, @Nullable List<Tensor> biases, Tensor out) {
    requireVectors("inputs of a linear", x.columns());
    linear.apply(CudaStream.handle(stream), x, weights, biases, out);
  }

  @Override
  public void rotateAndStore(
      Stream stream,
      Tensor qkv,
      @Nullable Tensor queryNorm,
      @Nullable Tensor keyNorm,
      float epsilon,
      RopeTable rope,
      AttentionBatch batch,
      KvCache cache) {
    AttentionShape shape = cache.shape();
    int heads = shape.heads() + 2 * shape.kvHeads();
    launcher
        .pointer(CudaBuffer.address(qkv))
        .number((long) qkv.stride())
        .pointer(queryNorm == null ? 0 : CudaBuffer.address(queryNorm))
        .pointer(keyNorm == null ? 0 : CudaBuffer.address(keyNorm))
        .number(epsilon)
        .pointer(CudaBuffer.address(rope.angles()))
        .number(rope.interleaved() ? 1 : 0)
        .pointer(CudaBuffer.address(batch.positions()))
        .pointer(CudaBuffer.address(batch.rowSequences()));
    cacheTokens(batch, cache)
        .number(shape.heads())
        .number(shape.headDim())
        .pointer(CudaBuffer.address(cache.keys()))
        .pointer(CudaBuffer.address(cache.values()))
        .launch(
            ROTATE,
            Launcher.Grid.of(batch.rows(), Math.ceilDiv(heads, HEADS_A_BLOCK), 256),
            CudaStream.handle(stream));
  }

  /** Where the cache has tokens, as {@code CacheTokens} of rotate.cuh. */
  private Launcher cacheTokens(AttentionBatch batch, KvCache cache) {
    MemorySegment tokens = launcher.struct();
    tokens.set(JAVA_LONG, 0, CudaBuffer.address(batch.blockTables()));
    tokens.set(JAVA_INT, 8, batch.blockTables().stride());
    tokens.set(JAVA_INT, 12, cache.shape().kvHeads());
    tokens.set(JAVA_INT, 16, cache.blockSize());
    tokens.set(JAVA_INT, 20, cache.part());
    tokens.set(JAVA_INT, 24, cache.parts());
    return launcher;
  }

  @Override
  public void store(Stream stream, Tensor keysValues, AttentionBatch batch, KvCache cache) {
    launcher
        .pointer(CudaBuffer.address(keysValues))
        .pointer(CudaBuffer.address(batch.positions()))
        .pointer(CudaBuffer.address(batch.rowSequences()));
    cacheTokens(batch, cache)
        .number(cache.shape().headDim() / VECTOR)
        .pointer(CudaBuffer.address(cache.keys()))
        .pointer(CudaBuffer.address(cache.values()))
        .launch("store_rows", Launcher.Grid.of(batch.rows(), 256), CudaStream.handle(stream));
  }

  @Override
  public void attention(
      Stream stream, Tensor queries, KvCache cache, AttentionBatch batch, float scale, Tensor out) {
    attention.attend(CudaStream.handle(stream), queries, cache, batch, scale, out);
  }

  @Override
  public void attentionPart(
      Stream stream, Tensor queries, KvCache cache, AttentionBatch batch, float scale, Tensor out) {
    attention.attendPart(CudaStream.handle(stream), queries, cache, batch, scale, out);
  }

  @Override
  public void mergeAttention(Stream stream, Tensor parts, AttentionShape shape, Tensor out) {
    launcher
        .pointer(CudaBuffer.address(parts))
        .number((long) parts.stride())
        .number(out.rows() == 0 ? 0 : parts.rows() / out.rows())
        .number(out.rows())
        .number(shape.heads())
        .pointer(CudaBuffer.address(out))
        .number((long) out.stride())
        .launch(
            "merge_attention",
            Launcher.Grid.of(out.rows(), shape.heads(), shape.headDim()),
            CudaStream.handle(stream));
  }

  @Override
  public void siluMultiply(Stream stream, Tensor gateUp, Tensor out) {
    requireVectors("rows of an activation", out.columns());
    launcher
        .pointer(CudaBuffer.address(gateUp))
        .number((long) gateUp.stride())
        .number(out.columns())
        .pointer(CudaBuffer.address(out))
        .number((long) out.stride())
        .launch(
            "silu_multiply",
            Launcher.Grid.of(Math.ceilDiv(out.columns(), VECTOR * 128), out.rows(), 128),
            CudaStream.handle(stream));
  }

  @Override
  public void mixExperts(
      Stream stream, Tensor x, Tensor router, ExpertLayer layer, Buffer memory, Tensor out) {
    experts.mix(CudaStream.handle(stream), x, router, layer, memory, out);
  }

  @Override
  public void chooseRows(
      Stream stream,
      Tensor router,
      int firstExpert,
      int perRank,
      int perToken,
      Tensor chosen,
      Tensor counts) {
    experts.chooseRows(
        CudaStream.handle(stream), router, firstExpert, perRank, perToken, chosen, counts);
  }

  @Override
  public void sumRows(Stream stream, Tensor x, Tensor rows, Tensor out) {
    requireVectors("rows of a sum", x.columns());
    launcher
        .pointer(CudaBuffer.address(x))
        .number(x.rowBytes() / Integer.BYTES)
        .pointer(CudaBuffer.address(rows))
        .number(rows.columns())
        .number(out.columns() / 2)
        .pointer(CudaBuffer.address(out))
        .number(out.rowBytes() / Integer.BYTES)
        .launch("sum_rows", Launcher.Grid.of(out.rows(), 256), CudaStream.handle(stream));
  }

  @Override
  public void copyRows(Stream stream, Tensor x, Tensor out) {
    launcher
        .pointer(CudaBuffer.address(x))
        .number(x.rowBytes() / Integer.BYTES)
        .number((int) (x.type().bytes(x.columns()) / Integer.BYTES))
        .pointer(CudaBuffer.address(out))
        .number(out.rowBytes() / Integer.BYTES)
        .launch("copy_rows", Launcher.Grid.of(out.rows(), 256), CudaStream.handle(stream));
  }

  @Override
  public void gatherRows(Stream stream, Tensor x, Tensor rows, Tensor out) {
    launcher
        .pointer(CudaBuffer.address(x))
        .number(x.rowBytes() / Integer.BYTES)
        .pointer(CudaBuffer.address(rows))
        .number((int) (out.type().bytes(out.columns()) / Integer.BYTES))
        .pointer(CudaBuffer.address(out))
        .number(out.rowBytes() / Integer.BYTES)
        .launch("gather_rows", Launcher.Grid.of(out.rows(), 256), CudaStream.handle(stream));
  }

  private static void requireVectors(String what, int columns) {
    if (columns % VECTOR != 0) {
      throw new IllegalArgumentException(
          what + " have " + columns + " elements; --device cuda needs a multiple of " + VECTOR);
    }
  }
}
