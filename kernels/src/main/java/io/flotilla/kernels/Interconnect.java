package io.flotilla.kernels;

import java.util.List;

/** What joins the devices of one replica. */
@FunctionalInterface
public interface Interconnect {
  /**
   * Makes a group of ranks.
   *
   * @param members the device of each rank, in the order of ranks
   * @param messages that may be on their way from one rank to another
   * @param abort ends every wait
   * @return the side of each rank
   */
  List<Collectives> connect(List<Device> members, int messages, AbortSignal abort);
}
