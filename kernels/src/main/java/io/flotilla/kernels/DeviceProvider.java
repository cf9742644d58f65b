package io.flotilla.kernels;

import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;

/** Opens devices of one kind; found with {@link java.util.ServiceLoader}. */
public interface DeviceProvider {
  /** What {@code --device} calls this kind, such as {@code cuda}. */
  String kind();

  /**
   * Why no device of this kind can be opened on this machine and what to do about it, in one line;
   * empty when one can.
   */
  Optional<String> obstacle();

  /**
   * Whether this machine seems to have a device of this kind. Looks at files alone: a process that
   * leaves devices to another does not start their driver.
   */
  boolean isPresent();

  /**
   * Opens a device.
   *
   * @param ordinal which one, from 0
   * @throws IllegalStateException with the {@link #obstacle} when there is one
   * @throws IllegalArgumentException when there is no such device
   */
  Device open(int ordinal);

  /** What this machine has of all that devices of this kind need, in the order it is needed. */
  List<Finding> examine();

  /**
   * Times the kernels of a device that does nothing else.
   *
   * @param ordinal which one, from 0
   * @param sections names of groups of kernels; empty for all
   * @param table takes each line
   * @throws IllegalStateException with the {@link #obstacle} when there is one
   * @throws IllegalArgumentException when there is no such device or section
   */
  void timeKernels(int ordinal, List<String> sections, Consumer<String> table);

  /** Joins devices of this kind, of one process. */
  Interconnect interconnect();
}
