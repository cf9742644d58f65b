package io.flotilla.kernels.cuda;

import io.flotilla.kernels.AbortSignal;
import io.flotilla.kernels.Collectives;
import io.flotilla.kernels.Device;
import io.flotilla.kernels.Interconnect;
import java.util.ArrayList;
import java.util.List;

/** Joins GPUs of this process, or ranks on one of them. */
final class CudaInterconnect implements Interconnect {
  @Override
  public List<Collectives> connect(List<Device> members, int messages, AbortSignal abort) {
    if (members.size() == 1) {
      return List.of(Collectives.ALONE);
    }
    if (members.size() > CudaCollectives.MOST_RANKS) {
      throw new IllegalArgumentException(
          "%d ranks are joined, and --device cuda joins %d of one host at most"
              .formatted(members.size(), CudaCollectives.MOST_RANKS));
    }
    List<CudaDevice> devices = members.stream().map(CudaDevice.class::cast).toList();
    for (CudaDevice device : devices) {
      devices.forEach(device::requireReach);
    }
    CudaGroup group = new CudaGroup(devices, messages, abort);
    List<Collectives> sides = new ArrayList<>();
    for (int rank = 0; rank < devices.size(); rank++) {
      sides.add(new CudaCollectives(group, rank));
    }
    return List.copyOf(sides);
  }
}
