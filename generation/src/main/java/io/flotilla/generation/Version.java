package io.flotilla.generation;

import java.lang.module.ModuleDescriptor;

/** The version of Flotilla, which all its modules have. */
public final class Version {
  private Version() {}

  /** Such as {@code 0.1.0}; {@code unpacked} where classes do not come from its jars. */
  public static String current() {
    ModuleDescriptor descriptor = Version.class.getModule().getDescriptor();
    return descriptor == null ? "unpacked" : descriptor.rawVersion().orElse("unpacked");
  }
}
