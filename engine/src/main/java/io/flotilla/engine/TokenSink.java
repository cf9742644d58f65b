package io.flotilla.engine;

/**
 * Where a sequence's events go. Called on the engine's thread, or from within the submission when
 * that is refused at once. It must not block or throw; when it throws, its sequence is aborted.
 */
@FunctionalInterface
public interface TokenSink {
  void accept(TokenEvent event);
}
