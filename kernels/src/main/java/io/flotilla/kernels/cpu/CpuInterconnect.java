package io.flotilla.kernels.cpu;

import io.flotilla.kernels.AbortSignal;
import io.flotilla.kernels.Collectives;
import io.flotilla.kernels.Device;
import io.flotilla.kernels.Interconnect;
import java.util.ArrayList;
import java.util.List;

/** Joins CPU devices of this process through the memory they share. */
public final class CpuInterconnect implements Interconnect {
  /** Made without looking at the machine. */
  public CpuInterconnect() {}

  @Override
  public List<Collectives> connect(List<Device> members, int messages, AbortSignal abort) {
    if (members.size() == 1) {
      return List.of(Collectives.ALONE);
    }
    List<CpuDevice> devices = members.stream().map(CpuDevice.class::cast).toList();
    long[] spins = devices.stream().mapToLong(CpuDevice::spinNanos).toArray();
    CpuGroup group = new CpuGroup(spins, messages, CpuCollectives.SMALL_BYTES, abort);
    List<Collectives> sides = new ArrayList<>();
    for (CpuDevice device : devices) {
      sides.add(new CpuCollectives(group, sides.size(), device.team(), device.summation()));
    }
    return List.copyOf(sides);
  }
}
