package io.flotilla.kernels;

import java.util.List;
import java.util.Optional;

/** Opens devices of one kind; found with {@link java.util.ServiceLoader}. */
public interface DeviceProvider {
  /** What {@code --device} calls this kind, such as {@code cuda}. */
  String kind();

  /**
   * Why no device of this kind can be opened on this machine and what to do about it, in one line;
   * empty when one can.
   */
  Optional<String> obstacle();

  /** Everything that devices of this kind need and what of it this machine has. */
  List<Finding> findings();

  /**
   * Opens a device.
   *
   * @param ordinal which one, from 0
   * @throws IllegalStateException with the {@link #obstacle} when there is one
   * @throws IllegalArgumentException when there is no such device
   */
  Device open(int ordinal);
}
