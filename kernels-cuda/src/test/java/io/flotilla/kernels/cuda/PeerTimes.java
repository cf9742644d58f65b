package io.flotilla.kernels.cuda;

import io.flotilla.kernels.AbortSignal;
import io.flotilla.kernels.Collectives;
import io.flotilla.kernels.Device;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import io.flotilla.kernels.TensorType;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CountDownLatch;

/**
 * Times sums in bf16 over as many GPUs as there are arguments, each the number of one: the median
 * of recorded runs of {@link #SUMS} sums, and of as many that are launched one by one.
 */
final class PeerTimes {
  private static final int SUMS = 40;
  private static final int ROUNDS = 9;

  /** Runs before the first that counts, so that launching is compiled. */
  private static final int WARMING = 400;

  private static final int[] KIBIBYTES = {8, 64, 256, 512, 1024, 4096, 16_384, 65_536};

  private PeerTimes() {}

  public static void main(String[] ids) throws InterruptedException {
    CudaDeviceProvider provider = new CudaDeviceProvider();
    List<Device> devices = new ArrayList<>();
    for (String id : ids) {
      devices.add(provider.open(Integer.parseInt(id)));
    }
    List<Collectives> sides = provider.interconnect().connect(devices, 1, new AbortSignal());
    CountDownLatch running = new CountDownLatch(ids.length);
    List<Thread> threads = new ArrayList<>();
    for (int rank = 0; rank < ids.length; rank++) {
      Device device = devices.get(rank);
      Collectives side = sides.get(rank);
      threads.add(
          Thread.ofPlatform()
              .start(
                  () -> {
                    try (device) {
                      time(device, side);
                      running.countDown();
                      running.await();
                    } catch (InterruptedException _) {
                      Thread.currentThread().interrupt();
                    }
                  }));
    }
    for (Thread thread : threads) {
      thread.join();
    }
  }

  private static void time(Device device, Collectives ranks) {
    try (Stream stream = device.openStream()) {
      Tensor first = Tensor.allocate(device, TensorType.BF16, KIBIBYTES[0], 512);
      for (int i = 0; i < WARMING * SUMS; i++) {
        ranks.allReduce(stream, first);
      }
      for (int size : KIBIBYTES) {
        Tensor tensor = Tensor.allocate(device, TensorType.BF16, size, 512);
        Runnable sums =
            () -> {
              for (int i = 0; i < SUMS; i++) {
                ranks.allReduce(stream, tensor);
              }
            };
        double recorded = microseconds(stream, () -> stream.repeat(size, sums));
        double launched = microseconds(stream, sums);
        if (ranks.rank() == 0) {
          System.out.printf(
              "%6d KiB: recorded %.2f us, launched %.2f us%n", size, recorded, launched);
        }
      }
    }
  }

  private static double microseconds(Stream stream, Runnable sums) {
    sums.run();
    sums.run();
    stream.synchronize();
    double[] times = new double[ROUNDS];
    for (int round = 0; round < ROUNDS; round++) {
      long start = System.nanoTime();
      sums.run();
      stream.synchronize();
      times[round] = (System.nanoTime() - start) / 1e3 / SUMS;
    }
    Arrays.sort(times);
    return times[ROUNDS / 2];
  }
}
