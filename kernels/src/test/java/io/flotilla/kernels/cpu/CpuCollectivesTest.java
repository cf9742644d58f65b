package io.flotilla.kernels.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.flotilla.kernels.AbortSignal;
import io.flotilla.kernels.Buffer;
import io.flotilla.kernels.CollectiveAbortedException;
import io.flotilla.kernels.Collectives;
import io.flotilla.kernels.Device;
import io.flotilla.kernels.Tensor;
import io.flotilla.kernels.TensorType;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@Timeout(120)
class CpuCollectivesTest {
  /** Around the borders of vectors, cache lines, slices and small messages. */
  private static final int[] SIZES = {1, 7, 31, 33, 257, 1000, 2047, 2048, 2049, 70_001, 300_003};

  private static final int MESSAGES = 2;

  private final AbortSignal abort = new AbortSignal();
  private final List<CpuDevice> devices = new ArrayList<>();
  private final CpuStream stream = new CpuStream();

  @AfterEach
  void close() {
    devices.forEach(CpuDevice::close);
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 3, 4, 8})
  void sumsInTheOrderOfRanks(int ranks) {
    run(
        ranks,
        side -> {
          for (int size : SIZES) {
            Tensor tensor = vector(side, size);
            fill(tensor.buffer(), side.rank());
            side.allReduce(stream, tensor);
            for (int i = 0; i < size; i++) {
              float sum = value(0, i);
              for (int rank = 1; rank < ranks; rank++) {
                sum += value(rank, i);
              }
              assertThat(get(tensor.buffer(), i)).as("%d of %d", i, size).isEqualTo(sum);
            }
          }
        });
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 3, 4, 8})
  void gathersInTheOrderOfRanks(int ranks) {
    run(
        ranks,
        side -> {
          for (int size : SIZES) {
            Buffer mine = vector(side, size).buffer();
            Buffer all = vector(side, size * ranks).buffer();
            fill(mine, side.rank());
            side.allGather(stream, mine, all);
            // The next operation may already overwrite what the others still read.
            fill(mine, 77);
            for (int i = 0; i < size * ranks; i++) {
              assertThat(get(all, i)).isEqualTo(value(i / size, i % size));
            }
          }
        });
  }

  /** The last rank has fewer columns than the others. */
  @ParameterizedTest
  @ValueSource(ints = {2, 3, 4, 8})
  void gathersColumnsInTheOrderOfRanks(int ranks) {
    run(
        ranks,
        side -> {
          for (int width : new int[] {2, 33, 5000}) {
            int rows = 3;
            int total = width * ranks - 1;
            int columns = side.rank() < ranks - 1 ? width : width - 1;
            Device device = devices.get(side.rank());
            Tensor mine = Tensor.allocate(device, TensorType.F32, rows, columns);
            Tensor all = Tensor.allocate(device, TensorType.F32, rows, total);
            fill(mine.buffer(), side.rank());
            side.gatherColumns(stream, mine, all, side.rank() * width);
            fill(mine.buffer(), 77);
            for (int i = 0; i < rows * total; i++) {
              int rank = i % total / width;
              int own = rank < ranks - 1 ? width : width - 1;
              int index = i / total * own + i % total % width;
              assertThat(get(all.buffer(), i)).isEqualTo(value(rank, index));
            }
          }
        });
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 3, 4, 8})
  void givesEachRankItsPartOfTheSum(int ranks) {
    run(
        ranks,
        side -> {
          for (int size : SIZES) {
            Tensor all = vector(side, size * ranks);
            Tensor mine = vector(side, size);
            fill(all.buffer(), side.rank());
            side.reduceScatter(stream, all, mine);
            fill(all.buffer(), 77);
            for (int i = 0; i < size; i++) {
              int index = side.rank() * size + i;
              float sum = value(0, index);
              for (int rank = 1; rank < ranks; rank++) {
                sum += value(rank, index);
              }
              assertThat(get(mine.buffer(), i)).isEqualTo(sum);
            }
          }
        });
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 3, 4, 8})
  void exchangesUnevenParts(int ranks) {
    run(
        ranks,
        side -> {
          for (int round = 0; round < 20; round++) {
            int rank = side.rank();
            int step = round;
            long[] sent =
                IntStream.range(0, ranks).mapToLong(to -> length(rank, to, step)).toArray();
            long[] taken =
                IntStream.range(0, ranks).mapToLong(from -> length(from, rank, step)).toArray();
            Buffer from = device(side).allocate(Arrays.stream(sent).sum());
            Buffer to = device(side).allocate(Arrays.stream(taken).sum());
            int at = 0;
            for (int peer = 0; peer < ranks; peer++) {
              for (int i = 0; i < sent[peer] / 4; i++) {
                set(from, at++, value(rank * ranks + peer, i));
              }
            }
            side.allToAll(stream, from, sent, to, taken);
            fill(from, 77);
            at = 0;
            for (int peer = 0; peer < ranks; peer++) {
              for (int i = 0; i < taken[peer] / 4; i++) {
                assertThat(get(to, at++)).isEqualTo(value(peer * ranks + rank, i));
              }
            }
          }
        });
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 3, 4, 8})
  void exchangesEqualParts(int ranks) {
    run(
        ranks,
        side -> {
          for (int count : new int[] {1, 33, 5000}) {
            Buffer from = device(side).allocate(4L * ranks * count);
            Buffer to = device(side).allocate(4L * ranks * count);
            for (int i = 0; i < ranks * count; i++) {
              set(from, i, value(side.rank() * ranks + i / count, i % count));
            }
            side.allToAll(stream, from, to);
            fill(from, 77);
            for (int i = 0; i < ranks * count; i++) {
              assertThat(get(to, i)).isEqualTo(value(i / count * ranks + side.rank(), i % count));
            }
          }
        });
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 3, 4, 8})
  void broadcastsFromAnyRank(int ranks) {
    run(
        ranks,
        side -> {
          for (int size : SIZES) {
            for (int root = 0; root < ranks; root++) {
              Buffer buffer = vector(side, size).buffer();
              fill(buffer, side.rank());
              side.broadcast(stream, buffer, root);
              assertThat(get(buffer, size - 1)).isEqualTo(value(root, size - 1));
              fill(buffer, 77);
            }
          }
        });
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 3, 4, 8})
  void messagesComeInOrderAndDoNotWaitForTheReceiver(int ranks) {
    run(
        ranks,
        side -> {
          int next = (side.rank() + 1) % ranks;
          int before = (side.rank() + ranks - 1) % ranks;
          for (int size : SIZES) {
            Buffer sent = vector(side, size).buffer();
            // As many as may be on their way: every rank sends before any receives.
            for (int message = 0; message < MESSAGES; message++) {
              fill(sent, side.rank() + ranks * message);
              side.send(stream, sent, next);
            }
            for (int message = 0; message < MESSAGES; message++) {
              Buffer received = vector(side, size).buffer();
              side.receive(stream, received, before);
              assertThat(get(received, size - 1))
                  .isEqualTo(value(before + ranks * message, size - 1));
            }
          }
        });
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 3, 4, 8})
  void endsEveryWaitWhenAborted(int ranks) {
    List<Collectives> sides = connect(ranks);
    List<CompletableFuture<Void>> waits = new ArrayList<>();
    for (Collectives side : sides.subList(1, ranks)) {
      waits.add(
          start(
              () -> {
                if (side.rank() % 2 == 0) {
                  side.receive(stream, vector(side, 3).buffer(), 0);
                } else {
                  side.allReduce(stream, vector(side, 3));
                }
              }));
    }
    awaitWaiting(sides.subList(1, ranks));
    assertThat(waits).noneMatch(CompletableFuture::isDone);
    abort.raise();
    for (CompletableFuture<Void> wait : waits) {
      assertThatThrownBy(wait::join)
          .isInstanceOf(CompletionException.class)
          .hasCauseInstanceOf(CollectiveAbortedException.class);
    }
    assertThat(sides.getFirst().isWaiting()).isFalse();
  }

  private static void awaitWaiting(List<Collectives> sides) {
    try {
      while (!sides.stream().allMatch(Collectives::isWaiting)) {
        Thread.sleep(Duration.ofMillis(1));
      }
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }

  private interface RankBody {
    void run(Collectives side);
  }

  private void run(int ranks, RankBody body) {
    List<CompletableFuture<Void>> runs = new ArrayList<>();
    for (Collectives side : connect(ranks)) {
      runs.add(start(() -> body.run(side)));
    }
    CompletableFuture<Void> all = CompletableFuture.allOf(runs.toArray(CompletableFuture[]::new));
    runs.forEach(one -> one.exceptionally(failure -> abortWith(failure)));
    all.join();
  }

  private Void abortWith(Throwable failure) {
    abort.raise();
    throw new CompletionException(failure);
  }

  private static CompletableFuture<Void> start(Runnable body) {
    return CompletableFuture.runAsync(body, task -> Thread.ofPlatform().daemon().start(task));
  }

  /** Ranks of one and of two threads in turns, more than there are cores. */
  private List<Collectives> connect(int ranks) {
    for (int rank = 0; rank < ranks; rank++) {
      devices.add(CpuDevice.open(new CpuShare(1 + rank % 2, List.of(), true)));
    }
    return new CpuInterconnect().connect(List.copyOf(devices), MESSAGES, abort);
  }

  private Device device(Collectives side) {
    return devices.get(side.rank());
  }

  private Tensor vector(Collectives side, int size) {
    return Tensor.allocate(device(side), TensorType.F32, 1, size);
  }

  private static long length(int from, int to, int round) {
    return 4L * ((from * 31 + to * 17 + round * 97) % 211) * (round % 3 == 0 ? 100 : 1);
  }

  private static float value(int rank, int index) {
    return (float) Math.sin(1 + rank * 7.3 + index * 0.37);
  }

  private static void fill(Buffer buffer, int rank) {
    for (int i = 0; i < buffer.bytes() / 4; i++) {
      set(buffer, i, value(rank, i));
    }
  }

  private static void set(Buffer buffer, int index, float value) {
    segment(buffer).setAtIndex(ValueLayout.JAVA_FLOAT, index, value);
  }

  private static float get(Buffer buffer, int index) {
    return segment(buffer).getAtIndex(ValueLayout.JAVA_FLOAT, index);
  }

  private static MemorySegment segment(Buffer buffer) {
    return NativeMemory.segment(buffer);
  }
}
