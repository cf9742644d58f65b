package io.flotilla.generation;

/**
 * One choice that is being generated. Events are pulled by one thread at a time; detokenisation and
 * the search for stop strings run on it.
 */
public interface Generation extends AutoCloseable {
  /**
   * Waits for the next event. After {@link GenerationEvent.Ended} or {@link GenerationEvent.Failed}
   * there is none.
   *
   * @throws java.util.NoSuchElementException after the last event
   */
  GenerationEvent next() throws InterruptedException;

  /** Ends the choice if it still runs; its blocks are free at the next step. */
  @Override
  void close();
}
