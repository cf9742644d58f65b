package io.flotilla.fleet;

import io.flotilla.engine.EngineCommand;

/** One replica's engine, in this process or another. Thread-safe. */
public interface EngineClient extends AutoCloseable {
  /** Hands over a sequence; everything that follows comes through its sink. */
  void submit(EngineCommand.Submit submit);

  /** Ends a sequence; unknown ids are ignored. */
  void abort(long id);

  /** Takes no more sequences; returns at once. The engine ends when its last sequence does. */
  void drain();

  /** The engine as it is now. */
  EngineStatus status();

  /** Ends the engine; sequences that live fail. Returns when its memory is free. */
  @Override
  void close();
}
