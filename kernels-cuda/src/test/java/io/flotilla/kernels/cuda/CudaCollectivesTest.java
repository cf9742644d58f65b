package io.flotilla.kernels.cuda;

import static io.flotilla.kernels.TensorType.BF16;
import static io.flotilla.kernels.TensorType.F32;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.flotilla.kernels.AbortSignal;
import io.flotilla.kernels.CollectiveAbortedException;
import io.flotilla.kernels.Collectives;
import io.flotilla.kernels.Device;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Ranks that exchange GPU memory: several on one GPU, and on two where there are two. */
@Timeout(60)
@Tag("emulated")
class CudaCollectivesTest {
  private static final int ROUNDS = 30;

  private final AbortSignal abort = new AbortSignal();

  /** What a rank does; values are small integers, so that sums are exact in bf16 too. */
  private interface Work {
    void run(Device device, Stream stream, Collectives ranks) throws InterruptedException;
  }

  @ParameterizedTest
  @ValueSource(strings = {"0,0", "0,0,0", "0,1", "0,1,0,1"})
  void sums(String ids) {
    run(
        ids,
        (device, stream, ranks) -> {
          for (int round = 0; round < ROUNDS; round++) {
            int rows = 1 + round * 37 % 300;
            boolean narrow = round % 2 == 0;
            Tensor tensor = Tensor.allocate(device, narrow ? BF16 : F32, rows, 512);
            fill(stream, tensor, index -> (ranks.rank() + 1) * (index % 8));
            ranks.allReduce(stream, tensor);
            ranks.allReduce(stream, tensor);
            int total = ranks.size() * (ranks.size() + 1) / 2 * ranks.size();
            expect(stream, tensor, index -> total * (index % 8));
          }
        });
  }

  /**
   * Of sizes that are pushed, and of those that are summed where they lie; the same bits on every
   * rank, and those that adding in the order of ranks gives.
   */
  @ParameterizedTest
  @ValueSource(strings = {"0,0", "0,1"})
  void sumsInTheOrderOfRanks(String ids) {
    run(
        ids,
        (device, stream, ranks) -> {
          for (int columns : new int[] {8, 1000, 65_536, 262_144, 1_000_008}) {
            Tensor tensor = Tensor.allocate(device, F32, 1, columns);
            fill(stream, tensor, index -> value(ranks.rank(), index));
            ranks.allReduce(stream, tensor);
            expect(stream, tensor, index -> value(0, index) + value(1, index));
          }
        });
  }

  private static float value(int rank, int index) {
    return (index * 31 % 1009 + 0.1f * rank) / (3 + rank);
  }

  /**
   * Where each rank has a GPU, exchanges are recorded, and replayed while ranks come as they may.
   */
  @ParameterizedTest
  @ValueSource(strings = {"0,1"})
  void repeatsRecordedExchanges(String ids) {
    run(
        ids,
        (device, stream, ranks) -> {
          assertTrue(ranks.canRepeat());
          Tensor small = Tensor.allocate(device, BF16, 1, 4096);
          Tensor large = Tensor.allocate(device, BF16, 200, 4096);
          Tensor mine = Tensor.allocate(device, F32, 3, 100 - ranks.rank());
          Tensor all = Tensor.allocate(device, F32, 3, 199);
          Tensor parts = Tensor.allocate(device, F32, 2, 100);
          Tensor taken = Tensor.allocate(device, F32, 2, 100);
          Tensor gathered = Tensor.allocate(device, F32, 4, 100);
          for (int round = 0; round < ROUNDS; round++) {
            int number = round;
            fill(stream, small, index -> (ranks.rank() + 1) * ((index + number) % 8));
            fill(stream, large, index -> (ranks.rank() + 1) * ((index + number) % 16));
            fill(stream, mine, index -> 1000 * ranks.rank() + number + index);
            fill(stream, parts, index -> 1000 * ranks.rank() + number + index);
            stream.repeat(
                "exchanges",
                () -> {
                  ranks.allReduce(stream, small);
                  ranks.allReduce(stream, large);
                  ranks.gatherColumns(stream, mine, all, 100 * ranks.rank());
                  ranks.allToAll(stream, parts.buffer(), taken.buffer());
                  ranks.allGather(stream, taken.buffer(), gathered.buffer());
                  ranks.allReduce(stream, small);
                });
            expect(stream, small, index -> 6 * ((index + number) % 8));
            expect(stream, large, index -> 3 * ((index + number) % 16));
            expectColumns(stream, all, 100, number);
            // Rank r has row r of each.
            expect(
                stream,
                gathered,
                index -> index / 100 % 2 * 1000 + number + index / 200 * 100 + index % 100);
          }
        });
  }

  /** Columns that the kernels copy one by one, and some that they copy by fours. */
  @ParameterizedTest
  @ValueSource(strings = {"0,0", "0,0,0", "0,1"})
  void gathersColumns(String ids) {
    run(
        ids,
        (device, stream, ranks) -> {
          for (int width : new int[] {2, 99, 128, 40_000}) {
            boolean last = ranks.rank() == ranks.size() - 1;
            int narrower = width % 4 == 0 ? 4 : 1;
            Tensor mine = Tensor.allocate(device, F32, 3, last ? width - narrower : width);
            Tensor all = Tensor.allocate(device, F32, 3, ranks.size() * width - narrower);
            fill(stream, mine, index -> 1000 * ranks.rank() + 7 + index);
            ranks.gatherColumns(stream, mine, all, ranks.rank() * width);
            fill(stream, mine, _ -> -1);
            expectColumns(stream, all, width, 7);
          }
        });
  }

  private static void expectColumns(Stream stream, Tensor all, int width, int number) {
    int total = all.columns();
    int least = (total - 1) / width * width;
    expect(
        stream,
        all,
        index -> {
          int column = index % total;
          int own = column < least ? width : total - least;
          return 1000 * (column / width) + number + index / total * own + column % width;
        });
  }

  @ParameterizedTest
  @ValueSource(strings = {"0,0", "0,0,0", "0,1", "0,1,0,1"})
  void gathersScattersAndTells(String ids) {
    run(
        ids,
        (device, stream, ranks) -> {
          int size = ranks.size();
          for (int round = 0; round < ROUNDS; round++) {
            int count = 8 + round * 8;
            Tensor mine = Tensor.allocate(device, F32, 1, count);
            Tensor all = Tensor.allocate(device, F32, size, count);
            fill(stream, mine, index -> ranks.rank() * 100 + index);
            ranks.allGather(stream, mine.buffer(), all.buffer());
            expect(stream, all, index -> index / count * 100 + index % count);
            ranks.reduceScatter(stream, all, mine);
            expect(stream, mine, index -> size * (ranks.rank() * 100 + index));
            fill(stream, mine, index -> ranks.rank() + index);
            int root = round % size;
            ranks.broadcast(stream, mine.buffer(), root);
            expect(stream, mine, index -> root + index);
          }
        });
  }

  @ParameterizedTest
  @ValueSource(strings = {"0,0", "0,0,0", "0,1", "0,1,0,1"})
  void exchangesParts(String ids) {
    run(
        ids,
        (device, stream, ranks) -> {
          int size = ranks.size();
          // Rank r sends 4 (1 + r + s) bytes to rank s.
          long[] sent = new long[size];
          long total = 0;
          for (int peer = 0; peer < size; peer++) {
            sent[peer] = 4L * (1 + ranks.rank() + peer);
            total += sent[peer];
          }
          Tensor from = Tensor.allocate(device, F32, 1, (int) total / 4);
          Tensor to = Tensor.allocate(device, F32, 1, (int) total / 4);
          fill(stream, from, index -> ranks.rank() * 1000 + index);
          ranks.allToAll(stream, from.buffer(), sent, to.buffer(), sent);
          List<Integer> wanted = new ArrayList<>();
          for (int peer = 0; peer < size; peer++) {
            int offset = 0;
            for (int before = 0; before < ranks.rank(); before++) {
              offset += 1 + peer + before;
            }
            for (int i = 0; i < 1 + peer + ranks.rank(); i++) {
              wanted.add(peer * 1000 + offset + i);
            }
          }
          expect(stream, to, wanted::get);
        });
  }

  /** Of four bytes, which kernels do not move, and of multiples of eight. */
  @ParameterizedTest
  @ValueSource(strings = {"0,0", "0,0,0", "0,1", "0,1,0,1", "0,1,2"})
  void exchangesEqualParts(String ids) {
    run(
        ids,
        (device, stream, ranks) -> {
          int size = ranks.size();
          for (int count : new int[] {1, 2, 300, 100_000}) {
            Tensor from = Tensor.allocate(device, F32, size, count);
            Tensor to = Tensor.allocate(device, F32, size, count);
            fill(stream, from, index -> 10 * ranks.rank() + index / count + 100 * (index % 7));
            ranks.allToAll(stream, from.buffer(), to.buffer());
            fill(stream, from, _ -> -1);
            expect(
                stream,
                to,
                index ->
                    10 * (index / count)
                        + ranks.rank()
                        + 100 * ((ranks.rank() * count + index % count) % 7));
          }
        });
  }

  /** More messages than may be on their way, of different lengths. */
  @ParameterizedTest
  @ValueSource(strings = {"0,0", "0,1"})
  void sendsInOrder(String ids) {
    run(
        ids,
        (device, stream, ranks) -> {
          for (int round = 0; round < ROUNDS; round++) {
            Tensor tensor = Tensor.allocate(device, F32, 1, 1 + round * 500);
            int number = round;
            if (ranks.rank() == 0) {
              fill(stream, tensor, index -> number + index);
              ranks.send(stream, tensor.buffer(), 1);
              fill(stream, tensor, _ -> -1);
            } else {
              ranks.receive(stream, tensor.buffer(), 0);
              expect(stream, tensor, index -> number + index);
            }
          }
        });
  }

  @ParameterizedTest
  @ValueSource(strings = {"0,0"})
  void endsItsWaitsWhenAborted(String ids) {
    List<Throwable> thrown =
        failures(
            ids,
            (device, stream, ranks) -> {
              Tensor tensor = Tensor.allocate(device, F32, 1, 8);
              if (ranks.rank() == 0) {
                ranks.allReduce(stream, tensor);
              } else {
                Thread.sleep(100);
                abort.raise();
              }
            });
    assertEquals(1, thrown.size());
    assertInstanceOf(CollectiveAbortedException.class, thrown.getFirst());
  }

  /** The kernel that waits for a rank that never comes says so, and ends with the signal. */
  @ParameterizedTest
  @ValueSource(strings = {"0,1"})
  void endsItsKernelsWaitsWhenAborted(String ids) {
    AtomicBoolean waited = new AtomicBoolean();
    CountDownLatch enqueued = new CountDownLatch(1);
    run(
        ids,
        (device, stream, ranks) -> {
          Tensor small = Tensor.allocate(device, F32, 1, 8);
          Tensor large = Tensor.allocate(device, F32, 1, 1 << 20);
          ranks.allReduce(stream, small);
          stream.synchronize();
          if (ranks.rank() == 0) {
            assertFalse(ranks.isWaiting());
            ranks.allReduce(stream, small);
            ranks.allReduce(stream, large);
            ranks.gatherColumns(stream, small, large, 0);
            enqueued.countDown();
            while (!abort.isRaised()) {
              waited.compareAndSet(false, ranks.isWaiting());
            }
            stream.synchronize();
          } else {
            enqueued.await();
            Thread.sleep(100);
            abort.raise();
          }
        });
    assertTrue(waited.get());
  }

  private void run(String ids, Work work) {
    List<Throwable> thrown = failures(ids, work);
    if (!thrown.isEmpty()) {
      throw new AssertionError("a rank failed", thrown.getFirst());
    }
  }

  private List<Throwable> failures(String ids, Work work) {
    CudaDeviceProvider provider = new CudaDeviceProvider();
    Optional<String> obstacle = provider.obstacle();
    assumeTrue(obstacle.isEmpty(), () -> "needs a GPU: " + obstacle.orElse(""));
    for (String id : ids.split(",", -1)) {
      assumeTrue(
          Integer.parseInt(id) < CudaSetup.find().devices(), "there are fewer GPUs than it needs");
    }
    List<Device> devices = new ArrayList<>();
    for (String id : ids.split(",", -1)) {
      devices.add(provider.open(Integer.parseInt(id)));
    }
    List<Collectives> sides = provider.interconnect().connect(devices, 3, abort);
    List<Throwable> thrown = new ArrayList<>();
    CountDownLatch running = new CountDownLatch(devices.size());
    List<Thread> threads = new ArrayList<>();
    for (int rank = 0; rank < devices.size(); rank++) {
      Device device = devices.get(rank);
      Collectives side = sides.get(rank);
      threads.add(
          Thread.ofPlatform()
              .start(
                  () -> {
                    try (device) {
                      try (Stream stream = device.openStream()) {
                        work.run(device, stream, side);
                      } catch (Throwable cause) {
                        synchronized (thrown) {
                          thrown.add(cause);
                        }
                        abort.raise();
                      }
                      running.countDown();
                      running.await();
                    } catch (InterruptedException _) {
                      Thread.currentThread().interrupt();
                    }
                  }));
    }
    for (Thread thread : threads) {
      try {
        thread.join();
      } catch (InterruptedException e) {
        throw new IllegalStateException(e);
      }
    }
    return thrown;
  }

  private interface Values {
    float at(int index);
  }

  private static void fill(Stream stream, Tensor tensor, Values values) {
    int count = tensor.rows() * tensor.columns();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment host = arena.allocate(tensor.type().bytes(count), 16);
      for (int i = 0; i < count; i++) {
        if (tensor.type() == F32) {
          host.setAtIndex(JAVA_FLOAT, i, values.at(i));
        } else {
          int bits = Float.floatToRawIntBits(values.at(i)) >>> 16;
          host.setAtIndex(ValueLayout.JAVA_SHORT, i, (short) bits);
        }
      }
      // A rank is late now and then.
      if (new Random().nextInt(8) == 0) {
        LockSupport.parkNanos(200_000);
      }
      stream.upload(host, tensor.buffer());
      stream.synchronize();
    }
  }

  private static void expect(Stream stream, Tensor tensor, Values values) {
    int count = tensor.rows() * tensor.columns();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment host = arena.allocate(tensor.type().bytes(count), 16);
      stream.download(tensor.buffer(), host);
      stream.synchronize();
      for (int i = 0; i < count; i++) {
        float value =
            tensor.type() == F32
                ? host.getAtIndex(JAVA_FLOAT, i)
                : Float.intBitsToFloat(host.getAtIndex(ValueLayout.JAVA_SHORT, i) << 16);
        assertEquals(values.at(i), value, "element " + i);
      }
    }
  }
}
