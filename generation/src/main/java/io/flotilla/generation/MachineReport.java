package io.flotilla.generation;

import com.sun.management.OperatingSystemMXBean;
import io.flotilla.kernels.DeviceProvider;
import io.flotilla.kernels.Finding;
import io.flotilla.kernels.cpu.CpuDevice;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.List;
import java.util.ServiceLoader;

/**
 * What this machine has for one kind of device.
 *
 * @param device as {@code --device} calls it
 */
public record MachineReport(String device, List<Finding> findings) {
  private static final double GIB = 1L << 30;

  public MachineReport {
    findings = List.copyOf(findings);
  }

  /** Whether {@code --device} may name it: nothing is missing. */
  public boolean usable() {
    return findings.stream().allMatch(Finding::serves);
  }

  /** Looks at the CPU and for every other kind of device of this build. */
  public static List<MachineReport> all() {
    List<MachineReport> reports = new ArrayList<>();
    reports.add(cpu());
    for (DeviceProvider provider : ServiceLoader.load(DeviceProvider.class)) {
      reports.add(new MachineReport(provider.kind(), provider.findings()));
    }
    return reports;
  }

  private static MachineReport cpu() {
    List<Finding> findings = new ArrayList<>(CpuDevice.findings());
    var system = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
    findings.add(
        new Finding(
            "memory",
            "%.1f GiB, %.1f GiB of them free"
                .formatted(system.getTotalMemorySize() / GIB, system.getFreeMemorySize() / GIB),
            true));
    return new MachineReport("cpu", findings);
  }
}
