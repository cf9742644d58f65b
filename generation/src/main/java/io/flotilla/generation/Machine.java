package io.flotilla.generation;

/**
 * What a plan is made for.
 *
 * @param name for people
 * @param devices that ranks can have, one each
 * @param deviceMemory bytes each has; 0 where all share the memory of this host
 * @param speed of one device, or where {@code deviceMemory} is 0 of all together
 */
public record Machine(String name, int devices, long deviceMemory, Speed speed) {
  /**
   * What bounds a step from below; 0 where it is not known.
   *
   * @param readBytes of memory a second
   * @param linkBytes a second from one device to another
   * @param multiplyAdds a second
   */
  public record Speed(double readBytes, double linkBytes, double multiplyAdds) {
    /** Nothing is known. */
    public static final Speed UNKNOWN = new Speed(0, 0, 0);

    /** Whether every part is known. */
    public boolean isKnown() {
      return readBytes > 0 && linkBytes > 0 && multiplyAdds > 0;
    }

    /** Bytes that are read in the time that one is sent; where that is not known, two. */
    public double readsPerSent() {
      return readBytes > 0 && linkBytes > 0 ? readBytes / linkBytes : 2;
    }

    Speed dividedBy(int ranks) {
      return new Speed(readBytes / ranks, linkBytes / ranks, multiplyAdds / ranks);
    }
  }

  /** Whether ranks are GPUs, with memory of their own, and not cores of this host. */
  boolean hasGpus() {
    return deviceMemory > 0;
  }

  /** The speed of one of some ranks. */
  Speed rankSpeed(int ranks) {
    return hasGpus() ? speed : speed.dividedBy(ranks);
  }
}
