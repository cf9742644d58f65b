package io.flotilla.executor.wire;

/** Takes the fields of a message one after the other; arrays with their number first. */
public interface FieldWriter {
  FieldWriter put(int value);

  FieldWriter put(long value);

  FieldWriter put(float value);

  FieldWriter put(int[] values);

  FieldWriter put(float[] values);
}
