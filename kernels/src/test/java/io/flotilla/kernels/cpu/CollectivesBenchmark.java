package io.flotilla.kernels.cpu;

import io.flotilla.kernels.AbortSignal;
import io.flotilla.kernels.CollectiveAbortedException;
import io.flotilla.kernels.Collectives;
import io.flotilla.kernels.Device;
import io.flotilla.kernels.Tensor;
import io.flotilla.kernels.TensorType;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * A sum over ranks, beside the ceiling it is held against: {@link #copy}, in which each rank copies
 * as many bytes as it reads and writes in a large sum, all at the same time. The benchmark's thread
 * is rank 0; the others do the same in a loop, so that an operation takes what a step would wait.
 */
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Fork(
    value = 1,
    jvmArgsAppend = {"--add-modules=jdk.incubator.vector", "--enable-native-access=ALL-UNNAMED"})
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@SuppressWarnings("NullAway.Init")
public class CollectivesBenchmark {
  /** Made by JMH. */
  public CollectivesBenchmark() {}

  /** Ranks that sum. */
  @State(Scope.Benchmark)
  public static class Summing extends Ranks {
    private final CpuStream stream = new CpuStream();
    private List<Collectives> sides;

    /** Made by JMH. */
    public Summing() {}

    @Override
    void connect(List<Device> devices, AbortSignal abort) {
      sides = new CpuInterconnect().connect(devices, 2, abort);
    }

    @Override
    void work(int rank) {
      sides.get(rank).allReduce(stream, tensor(rank));
    }
  }

  /** Ranks that copy, each its own memory. */
  @State(Scope.Benchmark)
  public static class Copying extends Ranks {
    private final List<MemorySegment> targets = new ArrayList<>();

    /** Made by JMH. */
    public Copying() {}

    @Override
    void connect(List<Device> devices, AbortSignal abort) {
      for (int rank = 0; rank < devices.size(); rank++) {
        targets.add(NativeMemory.segment(devices.get(rank).allocate(tensor(rank).rowBytes())));
      }
    }

    @Override
    void work(int rank) {
      targets.get(rank).copyFrom(NativeMemory.segment(tensor(rank)));
    }
  }

  /** Threads with a tensor each. */
  @State(Scope.Benchmark)
  public abstract static class Ranks {
    @Param({"2", "4", "8"})
    private int ranks;

    @Param({"4096", "16384", "65536", "262144", "1048576", "4194304", "16777216"})
    private int bytes;

    private final AbortSignal abort = new AbortSignal();
    private final List<Device> devices = new ArrayList<>();
    private final List<Tensor> tensors = new ArrayList<>();
    private final List<Thread> threads = new ArrayList<>();

    Ranks() {}

    abstract void connect(List<Device> devices, AbortSignal abort);

    abstract void work(int rank);

    Tensor tensor(int rank) {
      return tensors.get(rank);
    }

    /** Starts all ranks but the first. */
    @Setup
    public void start() {
      boolean crowded = ranks > Runtime.getRuntime().availableProcessors();
      for (CpuShare share : CpuShare.divide(ranks, 0, 1, crowded)) {
        devices.add(CpuDevice.open(share));
        tensors.add(Tensor.allocate(devices.getLast(), TensorType.F32, 1, bytes / 4));
      }
      connect(devices, abort);
      for (int rank = 1; rank < ranks; rank++) {
        int number = rank;
        threads.add(Thread.ofPlatform().daemon().start(() -> loop(number)));
      }
      devices.getFirst().attach();
    }

    private void loop(int rank) {
      devices.get(rank).attach();
      try {
        while (!abort.isRaised()) {
          work(rank);
        }
      } catch (CollectiveAbortedException _) {
        // The end of the benchmark.
      }
    }

    /** Ends them. */
    @TearDown
    public void stop() throws InterruptedException {
      abort.raise();
      for (Thread thread : threads) {
        thread.join();
      }
      devices.forEach(Device::close);
    }
  }

  /** A sum of all ranks' tensors on every rank. */
  @Benchmark
  public void allReduce(Summing ranks) {
    ranks.work(0);
  }

  /** What no large sum can beat. */
  @Benchmark
  public void copy(Copying ranks) {
    ranks.work(0);
  }
}
