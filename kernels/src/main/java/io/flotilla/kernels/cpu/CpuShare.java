package io.flotilla.kernels.cpu;

import java.util.ArrayList;
import java.util.List;

/**
 * The cores of one rank.
 *
 * @param threads that compute
 * @param processors they are pinned to; empty where they are not
 * @param oversubscribed whether they share cores with other ranks, and so must not spin
 */
public record CpuShare(int threads, List<Integer> processors, boolean oversubscribed) {
  /**
   * @throws IllegalArgumentException when there is no thread
   */
  public CpuShare {
    if (threads < 1) {
      throw new IllegalArgumentException("a rank of " + threads + " threads; it needs at least 1");
    }
    processors = List.copyOf(processors);
  }

  /** A share of threads that run where they like. */
  public static CpuShare of(int threads) {
    return new CpuShare(threads, List.of(), false);
  }

  /**
   * Shares this machine's cores between ranks. Threads are pinned where there are several ranks, a
   * core for every thread, and the system says which cores this process has.
   *
   * @param cores to share; 0 for all there are
   * @param coresPerRank 0 to share all evenly
   * @param oversubscribe whether ranks may share cores
   * @throws IllegalArgumentException with the numbers, when there are too few cores
   */
  public static List<CpuShare> divide(
      int ranks, int cores, int coresPerRank, boolean oversubscribe) {
    int processors = Runtime.getRuntime().availableProcessors();
    int available = cores == 0 ? processors : cores;
    int threads = coresPerRank > 0 ? coresPerRank : Math.max(1, available / ranks);
    boolean crowded = (long) threads * ranks > available;
    if (crowded && !oversubscribe) {
      throw new IllegalArgumentException(
          "%d ranks of %s need %d, there are %d: use at most %d ranks or --oversubscribe"
              .formatted(
                  ranks, cores(threads), (long) threads * ranks, available, available / threads));
    }
    List<Integer> allowed = ranks > 1 && !crowded ? Affinity.allowed() : List.of();
    // More processors than this process may use at once: a limit on time, which no pinning serves.
    boolean pins = allowed.size() == processors && ranks * threads <= processors;
    List<CpuShare> shares = new ArrayList<>();
    for (int rank = 0; rank < ranks; rank++) {
      List<Integer> own = pins ? allowed.subList(rank * threads, (rank + 1) * threads) : List.of();
      shares.add(new CpuShare(threads, own, crowded));
    }
    return List.copyOf(shares);
  }

  private static String cores(int count) {
    return count == 1 ? "1 core" : count + " cores";
  }
}
