package io.flotilla.kernels;

import org.jspecify.annotations.Nullable;

/**
 * One thing that was looked for on a machine.
 *
 * @param what was looked for
 * @param found what is there, or what is wrong
 * @param remedy what to do about it; null where all is well
 */
public record Finding(String what, String found, @Nullable String remedy) {
  /** Something that is as it should be. */
  public static Finding good(String what, String found) {
    return new Finding(what, found, null);
  }
}
