package io.flotilla.kernels.cuda;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.flotilla.kernels.Buffer;
import io.flotilla.kernels.ExpertLayer;
import io.flotilla.kernels.Tensor;
import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * Launches mixtures of experts. Rows are routed on the device. Where they are very few, each pair
 * of a row and an expert is computed on its own, by two kernels that route for themselves; else
 * pairs are sorted by expert and cut into tiles, so that an expert's weights are read once a tile.
 * Only chosen experts are read either way.
 */
final class CudaExperts {
  private static final int MOST_ROWS_ALONE = 4;
  private static final int MOST_EXPERTS = 512;
  private static final int MOST_PER_TOKEN = 32;
  private static final int THREADS = 256;
  private static final int SORT_THREADS = 1024;
  private static final int DOWN_ALONE_THREADS = 1024;
  private static final int ITEM_BYTES = 16;
  private static final int ALIGNMENT = 256;

  private final Launcher launcher;
  private final boolean hopper;

  /** Rows of one expert that a block computes, and how. */
  enum Tile {
    FEW_8("8", 8, 8, 0),
    FEW_16("16", 16, 8, 0),
    FEW_32("32", 32, 8, 0),
    HOPPER_32("hopper_32", 32, 64, 5),
    HOPPER_64("hopper_64", 64, 64, 4),
    HOPPER_128("hopper_128", 128, 64, 3);

    private final String suffix;
    private final int rows;
    private final int gates;
    private final int stages;

    /**
     * @param gates of a block, which computes twice as many outputs where there are none
     * @param stages of warpgroups' operands in shared memory, 0 without warpgroups
     */
    Tile(String suffix, int rows, int gates, int stages) {
      this.suffix = suffix;
      this.rows = rows;
      this.gates = gates;
      this.stages = stages;
    }

    /** Whether it may be the best for so many rows an expert. */
    boolean isWorthwhile(int perExpert) {
      return perExpert <= 4 * rows && rows <= 8 * (perExpert + 4);
    }

    private String kernel(String what) {
      return "expert_" + what + "_" + suffix;
    }

    private Launcher.Grid grid(int items, int outputs, boolean gated) {
      int blocks = Math.ceilDiv(outputs, gated ? gates : 2 * gates);
      if (stages == 0) {
        return Launcher.Grid.of(items, blocks, THREADS);
      }
      int shared = stages * (2 * gates + rows) * 128;
      return new Launcher.Grid(blocks, items, 1, THREADS, shared);
    }
  }

  CudaExperts(Launcher launcher, boolean hopper) {
    this.launcher = launcher;
    this.hopper = hopper;
  }

  /** Bytes that {@link #mix} works in. */
  static long bytes(int rows, int hidden, int intermediate, int experts, int perToken) {
    return Memory.at(0, (long) rows * perToken, hidden, intermediate, experts).end;
  }

  /**
   * Device addresses.
   *
   * @param mixed bf16 {@code [pairs, intermediate]}
   * @param results bf16 {@code [pairs, hidden]}
   */
  private record Memory(
      long mixed,
      long results,
      long experts,
      long weights,
      long sorted,
      long items,
      long itemCount,
      long end) {
    static Memory at(long start, long pairs, int hidden, int intermediate, int experts) {
      long results = start + aligned(2 * pairs * intermediate);
      long chosen = results + aligned(2 * pairs * hidden);
      long weights = chosen + aligned(4 * pairs);
      long sorted = weights + aligned(4 * pairs);
      long items = sorted + aligned(4 * pairs);
      long itemCount = items + aligned(ITEM_BYTES * (pairs + experts));
      return new Memory(
          start, results, chosen, weights, sorted, items, itemCount, itemCount + ALIGNMENT);
    }

    private static long aligned(long bytes) {
      return Math.ceilDiv(bytes, ALIGNMENT) * ALIGNMENT;
    }
  }

  /** A mixture over some rows. */
  private record Run(
      long stream, Tensor x, Tensor router, ExpertLayer layer, Memory memory, Tensor out) {
    int pairs() {
      return x.rows() * layer.perToken();
    }

    int localExperts() {
      return layer.downs().size();
    }
  }

  /** See {@link io.flotilla.kernels.Ops#mixExperts}. */
  void mix(long stream, Tensor x, Tensor router, ExpertLayer layer, Buffer memory, Tensor out) {
    int pairs = x.rows() * layer.perToken();
    if (x.rows() <= MOST_ROWS_ALONE) {
      mixAlone(run(stream, x, router, layer, memory, out));
    } else {
      mix(stream, x, router, layer, memory, out, tile(pairs, router.columns()));
    }
  }

  /** The same with tiles of a given kind. */
  void mix(
      long stream,
      Tensor x,
      Tensor router,
      ExpertLayer layer,
      Buffer memory,
      Tensor out,
      Tile tile) {
    Run run = run(stream, x, router, layer, memory, out);
    route(run);
    sort(run, tile);
    // An expert has at most one tile that is not full.
    int items = Math.min(run.pairs(), run.localExperts() + run.pairs() / tile.rows);
    gates(run);
    launcher.launch(tile.kernel("gates"), tile.grid(items, layer.intermediateSize(), true), stream);
    down(run, run.memory.results);
    launcher.launch(tile.kernel("down"), tile.grid(items, out.columns(), false), stream);
    sum(run);
  }

  private Tile tile(int pairs, int experts) {
    int perExpert = pairs / experts;
    if (hopper) {
      return perExpert <= 32 ? Tile.HOPPER_32 : perExpert <= 96 ? Tile.HOPPER_64 : Tile.HOPPER_128;
    }
    return perExpert <= 3 ? Tile.FEW_8 : perExpert <= 12 ? Tile.FEW_16 : Tile.FEW_32;
  }

  private Run run(
      long stream, Tensor x, Tensor router, ExpertLayer layer, Buffer memory, Tensor out) {
    int hidden = x.columns();
    int intermediate = layer.intermediateSize();
    if (hidden % 8 != 0 || intermediate % 8 != 0) {
      throw new IllegalArgumentException(
          "experts of %d x %d; --device cuda needs multiples of 8".formatted(intermediate, hidden));
    }
    requireRoutable(router.columns(), layer.perToken());
    List<List<Tensor>> gateUps = layer.gateUps();
    int experts = gateUps.size();
    requireAdjacent(gateUps.getFirst().getFirst(), gateUps.getLast().getLast(), 2 * experts);
    requireAdjacent(layer.downs().getFirst(), layer.downs().getLast(), experts);
    long bytes = bytes(x.rows(), hidden, intermediate, router.columns(), layer.perToken());
    if (memory.bytes() < bytes) {
      throw new IllegalArgumentException(
          "%d bytes to mix experts in, not %d".formatted(memory.bytes(), bytes));
    }
    long pairs = (long) x.rows() * layer.perToken();
    Memory parts =
        Memory.at(CudaBuffer.address(memory), pairs, hidden, intermediate, router.columns());
    return new Run(stream, x, router, layer, parts, out);
  }

  private static void requireRoutable(int experts, int perToken) {
    if (experts > MOST_EXPERTS || perToken > MOST_PER_TOKEN) {
      throw new IllegalArgumentException(
          "%d of %d experts a token; --device cuda knows %d of %d at most"
              .formatted(perToken, experts, MOST_PER_TOKEN, MOST_EXPERTS));
    }
  }

  /** Kernels find an expert's matrix by its number. */
  private static void requireAdjacent(Tensor first, Tensor last, int count) {
    long expected = CudaBuffer.address(first) + (count - 1L) * first.rows() * first.rowBytes();
    if (first.stride() != first.columns() || CudaBuffer.address(last) != expected) {
      throw new IllegalArgumentException("the matrices of experts were not loaded together");
    }
  }

  private void mixAlone(Run run) {
    int rows = run.x.rows();
    gates(run);
    routes(run);
    launcher.launch(
        "expert_gates_alone_" + slots(run.router),
        Tile.FEW_8.grid(run.pairs(), run.layer.intermediateSize(), true),
        run.stream);
    down(run, CudaBuffer.address(run.out));
    routes(run);
    launcher
        .number((long) run.out.stride())
        .launch(
            "expert_down_alone_" + slots(run.router),
            Launcher.Grid.of(rows, Math.ceilDiv(run.out.columns(), 16), DOWN_ALONE_THREADS),
            run.stream);
  }

  /** Experts that a warp's kernel knows. */
  private static int slots(Tensor router) {
    return router.columns() <= 128 ? 128 : MOST_EXPERTS;
  }

  private void route(Run run) {
    routes(run);
    launcher.launch(
        "route_" + slots(run.router),
        Launcher.Grid.of(Math.ceilDiv(run.x.rows(), THREADS / 32), THREADS),
        run.stream);
  }

  /** The arguments of routing. */
  private void routes(Run run) {
    ExpertLayer layer = run.layer;
    MemorySegment arguments =
        routes(run.router, layer.perToken(), layer.firstExpert(), run.localExperts());
    arguments.set(JAVA_INT, 36, layer.normalised() ? 1 : 0);
    describe(arguments.asSlice(40), run.memory);
  }

  /** Those of them that say who computes a row. */
  private MemorySegment routes(Tensor router, int perToken, int firstExpert, int experts) {
    MemorySegment arguments = launcher.struct();
    arguments.set(JAVA_LONG, 0, CudaBuffer.address(router));
    arguments.set(JAVA_LONG, 8, router.stride());
    arguments.set(JAVA_INT, 16, router.rows());
    arguments.set(JAVA_INT, 20, router.columns());
    arguments.set(JAVA_INT, 24, perToken);
    arguments.set(JAVA_INT, 28, firstExpert);
    arguments.set(JAVA_INT, 32, experts);
    return arguments;
  }

  /** See {@link io.flotilla.kernels.Ops#chooseRows}. */
  void chooseRows(
      long stream,
      Tensor router,
      int firstExpert,
      int perRank,
      int perToken,
      Tensor chosen,
      Tensor counts) {
    int ranks = counts.columns();
    int rows = router.rows();
    requireRoutable(router.columns(), perToken);
    long ranksOfRows = CudaBuffer.address(chosen) + (long) Integer.BYTES * ranks * rows;
    routes(router, perToken, firstExpert, ranks * perRank);
    launcher
        .number(perRank)
        .pointer(ranksOfRows)
        .launch(
            "find_ranks_" + slots(router),
            Launcher.Grid.of(Math.ceilDiv(rows, THREADS / 32), THREADS),
            stream);
    launcher
        .pointer(ranksOfRows)
        .number(rows)
        .number(ranks)
        .pointer(CudaBuffer.address(chosen))
        .pointer(CudaBuffer.address(counts))
        .launch("list_rows", Launcher.Grid.of(1, SORT_THREADS), stream);
  }

  private static void describe(MemorySegment routing, Memory memory) {
    routing.set(JAVA_LONG, 0, memory.experts);
    routing.set(JAVA_LONG, 8, memory.weights);
    routing.set(JAVA_LONG, 16, memory.sorted);
    routing.set(JAVA_LONG, 24, memory.items);
    routing.set(JAVA_LONG, 32, memory.itemCount);
  }

  private void sort(Run run, Tile tile) {
    describe(launcher.struct(), run.memory);
    launcher
        .number(run.pairs())
        .number(run.localExperts())
        .number(tile.rows)
        .launch("sort_pairs", Launcher.Grid.of(1, SORT_THREADS), run.stream);
  }

  /** The arguments of the products with gates. */
  private void gates(Run run) {
    int intermediate = run.layer.intermediateSize();
    MemorySegment arguments = launcher.struct();
    Tensor gate = run.layer.gateUps().getFirst().getFirst();
    describe(arguments, run, gate, 2L * intermediate * run.x.columns());
    arguments.set(JAVA_LONG, 16, CudaBuffer.address(run.x));
    arguments.set(JAVA_LONG, 24, run.x.stride());
    arguments.set(JAVA_LONG, 32, run.memory.mixed);
  }

  /** The arguments of the products that follow. */
  private void down(Run run, long out) {
    int intermediate = run.layer.intermediateSize();
    MemorySegment arguments = launcher.struct();
    Tensor down = run.layer.downs().getFirst();
    describe(arguments, run, down, (long) intermediate * run.x.columns());
    arguments.set(JAVA_LONG, 16, run.memory.mixed);
    arguments.set(JAVA_LONG, 24, (long) intermediate);
    arguments.set(JAVA_LONG, 32, out);
  }

  /** What the arguments of all products share. */
  private static void describe(MemorySegment arguments, Run run, Tensor first, long expertStride) {
    arguments.set(JAVA_LONG, 0, CudaBuffer.address(first));
    arguments.set(JAVA_LONG, 8, expertStride);
    arguments.set(JAVA_LONG, 40, run.memory.sorted);
    arguments.set(JAVA_LONG, 48, run.memory.items);
    arguments.set(JAVA_LONG, 56, run.memory.itemCount);
    arguments.set(JAVA_LONG, 64, run.memory.weights);
    arguments.set(JAVA_INT, 72, first.columns());
    arguments.set(JAVA_INT, 76, first.rows());
    arguments.set(JAVA_INT, 80, run.layer.perToken());
  }

  private void sum(Run run) {
    launcher
        .pointer(run.memory.results)
        .pointer(run.memory.experts)
        .number(run.layer.perToken())
        .number(run.out.columns())
        .pointer(CudaBuffer.address(run.out))
        .number((long) run.out.stride())
        .launch(
            "sum_pairs",
            Launcher.Grid.of(Math.ceilDiv(run.out.columns(), 8 * 128), run.out.rows(), 128),
            run.stream);
  }
}
