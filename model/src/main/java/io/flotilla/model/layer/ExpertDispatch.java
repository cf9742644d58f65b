package io.flotilla.model.layer;

import io.flotilla.kernels.Buffer;
import io.flotilla.kernels.Collectives;
import io.flotilla.kernels.Device;
import io.flotilla.kernels.ExpertLayer;
import io.flotilla.kernels.Ops;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import io.flotilla.model.layer.DispatchMemory.Routed;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;

/**
 * Sends rows to the ranks that have their experts, and adds up what comes back, in the order of
 * ranks. A row goes once to each rank that has some of its experts, with its router's logits, by
 * which that rank routes it again; so as many rows move as are routed, and none for padding.
 */
final class ExpertDispatch {
  private final Ops ops;
  private final Collectives context;
  private final ExpertLayer experts;
  private final int firstExpert;
  private final MemorySegment counts;
  private final long[] sent;
  private final long[] received;

  /** Computes the rows that came: {@code x} and the router's logits to {@code out}. */
  @FunctionalInterface
  interface Mixing {
    void mix(Tensor x, Tensor router, Tensor out);
  }

  /**
   * @param context joins ranks that have different rows, and neighbouring experts
   * @param experts this rank's
   */
  ExpertDispatch(Device device, Collectives context, ExpertLayer experts) {
    this.ops = device.ops();
    this.context = context;
    this.experts = experts;
    this.firstExpert = experts.firstExpert() - context.rank() * experts.downs().size();
    long ranks = context.size();
    this.counts = device.allocateHost(Arena.ofAuto(), ranks * ranks * Integer.BYTES);
    this.sent = new long[context.size()];
    this.received = new long[context.size()];
  }

  /**
   * @param x {@code [rows, hidden]}, this rank's rows
   * @param router F32 {@code [rows, experts]}
   * @param out as {@code x}: the sum over the experts of these ranks
   */
  void apply(
      Stream stream, Tensor x, Tensor router, DispatchMemory memory, Mixing mixing, Tensor out) {
    Tensor chosen = memory.chosen();
    int perRank = experts.downs().size();
    ops.chooseRows(
        stream, router, firstExpert, perRank, experts.perToken(), chosen, memory.counts());
    exchangeCounts(stream, memory);
    Tensor rows = chosen.sliceColumns(0, sum(sent));
    Routed given = memory.given(sum(sent));
    ops.gatherRows(stream, x, rows, given.x());
    ops.gatherRows(stream, router, rows, given.router());
    Routed taken = memory.taken(sum(received));
    long bytes = memory.routedBytes();
    context.allToAll(
        stream, given.memory(), bytes(sent, bytes), taken.memory(), bytes(received, bytes));
    Tensor results = memory.results(sum(received));
    mixing.mix(taken.x(), taken.router(), results);
    Tensor returned = memory.returned(sum(sent));
    bytes = x.type().bytes(x.columns());
    context.allToAll(
        stream, results.memory(), bytes(received, bytes), returned.memory(), bytes(sent, bytes));
    ops.sumRows(stream, returned, rows, out);
  }

  /** Leaves in {@code sent} and {@code received} how many rows go to each rank and come of each. */
  private void exchangeCounts(Stream stream, DispatchMemory memory) {
    Buffer all = memory.allCounts();
    context.allGather(stream, memory.counts().memory(), all);
    stream.download(all, counts);
    stream.synchronize();
    for (int peer = 0; peer < context.size(); peer++) {
      sent[peer] = count(context.rank(), peer);
      received[peer] = count(peer, context.rank());
    }
  }

  private int count(int from, int to) {
    return counts.getAtIndex(ValueLayout.JAVA_INT, (long) from * context.size() + to);
  }

  private static long[] bytes(long[] rows, long rowBytes) {
    return Arrays.stream(rows).map(count -> count * rowBytes).toArray();
  }

  private static int sum(long[] rows) {
    return Math.toIntExact(Arrays.stream(rows).sum());
  }
}
