package io.flotilla.engine;

/** Where a sequence's events go. Called on the engine's thread: it must not block or throw. */
@FunctionalInterface
public interface TokenSink {
  void accept(TokenEvent event);
}
