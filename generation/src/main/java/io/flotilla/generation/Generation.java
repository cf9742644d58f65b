package io.flotilla.generation;

import io.flotilla.generation.GenerationEvent.Delta;
import io.flotilla.generation.GenerationEvent.Ended;
import io.flotilla.generation.GenerationEvent.Failed;
import io.flotilla.generation.GenerationEvent.PromptScored;
import java.util.function.Consumer;

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

  /**
   * Waits for the end and hands on the text as it comes.
   *
   * @param text hears each piece on the calling thread
   * @return how the choice ended
   * @throws GenerationException when the choice cannot be served
   */
  default Ended forEachText(Consumer<String> text) throws InterruptedException {
    while (true) {
      switch (next()) {
        case PromptScored _ -> {}
        case Delta delta -> text.accept(delta.text());
        case Ended ended -> {
          return ended;
        }
        case Failed failed -> throw new GenerationException(failed.code(), failed.message());
      }
    }
  }

  /** Ends the choice if it still runs; its blocks are free at the next step. */
  @Override
  void close();
}
