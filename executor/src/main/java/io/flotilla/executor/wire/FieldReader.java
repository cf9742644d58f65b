package io.flotilla.executor.wire;

/** Gives the fields of a message in the order of {@link FieldWriter}; throws where it has none. */
public interface FieldReader {
  int getInt();

  long getLong();

  float getFloat();

  int[] getInts();

  float[] getFloats();

  /**
   * How many things follow.
   *
   * @param bytes that each takes at least; there is room for as many
   */
  int getCount(int bytes);
}
