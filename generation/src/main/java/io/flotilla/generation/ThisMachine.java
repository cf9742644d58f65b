package io.flotilla.generation;

import io.flotilla.kernels.DeviceProvider;
import io.flotilla.kernels.Finding;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.ServiceLoader;
import java.util.function.Consumer;

/** The machine this process runs on: what its devices need, and how fast they are. */
public final class ThisMachine {
  private static final Path PROCESSORS = Path.of("/proc/cpuinfo");
  private static final List<String> VECTOR_INSTRUCTIONS =
      List.of("avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512_bf16", "amx_bf16", "asimd");
  private static final double GIB = 1L << 30;

  private ThisMachine() {}

  /** What was found for a kind of device. */
  public static List<Finding> examine(String kind) {
    return kind.equals(DeviceChoice.CPU) ? processor() : provider(kind).examine();
  }

  /** Why {@code --device kind} would be refused; empty when it can be used. */
  public static Optional<String> obstacle(String kind) {
    return kind.equals(DeviceChoice.CPU) ? Optional.empty() : provider(kind).obstacle();
  }

  /**
   * Whether a server is to run a replica with these options in a process of its own. Looks at
   * files, and starts no driver.
   */
  public static boolean needsReplicaProcess(EngineOptions options) {
    return new DeviceChoice(options).needsOwnProcess();
  }

  /** The kinds of devices that this build knows, the CPU first. */
  public static List<String> kinds() {
    List<String> kinds = new ArrayList<>(List.of(DeviceChoice.CPU));
    ServiceLoader.load(DeviceProvider.class).forEach(provider -> kinds.add(provider.kind()));
    return kinds;
  }

  /**
   * Times the kernels of a device that does nothing else.
   *
   * @param ordinal which device, from 0
   * @param sections names of groups of kernels; empty for all
   * @param table takes each line
   * @throws IllegalArgumentException when there is no such kind, device or section, or none of the
   *     kind can be used, with what to do
   */
  public static void timeKernels(
      String kind, int ordinal, List<String> sections, Consumer<String> table) {
    DeviceProvider provider = provider(kind);
    provider
        .obstacle()
        .ifPresent(
            reason -> {
              throw new IllegalArgumentException("--device " + kind + ": " + reason);
            });
    provider.timeKernels(ordinal, sections, table);
  }

  private static DeviceProvider provider(String kind) {
    for (DeviceProvider provider : ServiceLoader.load(DeviceProvider.class)) {
      if (provider.kind().equals(kind)) {
        return provider;
      }
    }
    throw new IllegalArgumentException("--device " + kind + " is not part of this build");
  }

  private static List<Finding> processor() {
    int cores = Runtime.getRuntime().availableProcessors();
    return List.of(
        Finding.good("CPU", cores + " cores, " + System.getProperty("os.arch")),
        vectors(),
        Finding.good("memory", String.format(Locale.ROOT, "%.1f GiB", memory() / GIB)));
  }

  private static Finding vectors() {
    String what = "vector instructions";
    List<String> flags = flags();
    List<String> found = VECTOR_INSTRUCTIONS.stream().filter(flags::contains).toList();
    if (flags.isEmpty()) {
      return Finding.good(what, "unknown: " + PROCESSORS + " does not name them");
    }
    return found.isEmpty()
        ? new Finding(what, "none of " + VECTOR_INSTRUCTIONS, "use a CPU with AVX2 or a GPU")
        : Finding.good(what, String.join(", ", found));
  }

  private static List<String> flags() {
    try {
      return Files.readAllLines(PROCESSORS).stream()
          .filter(line -> line.startsWith("flags") || line.startsWith("Features"))
          .findFirst()
          .map(line -> List.of(line.split("\\s+")))
          .orElse(List.of());
    } catch (IOException e) {
      return List.of();
    }
  }

  private static long memory() {
    return ManagementFactory.getOperatingSystemMXBean()
            instanceof com.sun.management.OperatingSystemMXBean system
        ? system.getTotalMemorySize()
        : 0;
  }
}
