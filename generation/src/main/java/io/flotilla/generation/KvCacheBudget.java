package io.flotilla.generation;

import com.sun.management.OperatingSystemMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * How much memory the KV cache gets when nobody says: what the sequences can use, but no more than
 * a share of what is free. A CPU takes pages of it when they are first used.
 *
 * @param bytesPerToken of KV cache, all layers together
 * @param available bytes of memory that can be had
 * @param weights bytes of the weights, which take their part of {@code available}
 */
record KvCacheBudget(long bytesPerToken, long available, long weights) {
  private static final double SHARE = 0.4;
  private static final Path MEMINFO = Path.of("/proc/meminfo");
  private static final String AVAILABLE = "MemAvailable:";

  /**
   * @param length tokens of one sequence at most
   * @param sequences that run at once
   */
  long bytes(int length, int sequences) {
    long wanted = Math.multiplyExact(length * bytesPerToken, sequences);
    long share = (long) (SHARE * Math.max(0, available - weights));
    return Math.max(bytesPerToken, Math.min(wanted, share));
  }

  /**
   * Bytes that can be had without swapping: what the kernel says is available, page cache that can
   * be dropped counted, but no more than this process's container may have.
   */
  static long availableMemory() {
    OperatingSystemMXBean system =
        (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
    long limit = system.getTotalMemorySize();
    try {
      return Files.readAllLines(MEMINFO).stream()
          .filter(line -> line.startsWith(AVAILABLE))
          .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")) << 10)
          .map(available -> Math.min(available, limit))
          .findFirst()
          .orElseGet(system::getFreeMemorySize);
    } catch (IOException e) {
      return system.getFreeMemorySize(); // Not Linux.
    }
  }
}
