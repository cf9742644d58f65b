package io.flotilla.fleet;

import io.flotilla.engine.Engine;
import io.flotilla.engine.EngineCommand.Abort;
import io.flotilla.engine.EngineCommand.Drain;
import io.flotilla.engine.EngineCommand.Submit;
import io.flotilla.engine.EngineLimits;
import io.flotilla.engine.EngineListener;
import io.flotilla.executor.Executor;

/** A replica of this process: its engine, the thread that runs it, and its executor. */
public final class LocalEngineClient implements EngineClient {
  private final Engine engine;
  private final Thread thread;

  private LocalEngineClient(Engine engine, Executor executor) {
    this.engine = engine;
    this.thread =
        Thread.ofPlatform()
            .name("engine")
            .daemon()
            .unstarted(
                () -> {
                  try (executor) {
                    engine.run();
                  }
                });
  }

  /**
   * Starts an engine.
   *
   * @param executor becomes the client's, which closes it when the engine ends
   * @throws IllegalArgumentException when the limits do not fit the executor; that is closed then
   */
  public static LocalEngineClient start(
      Executor executor, EngineLimits limits, EngineListener listener) {
    try {
      LocalEngineClient client =
          new LocalEngineClient(new Engine(executor, limits, listener), executor);
      client.thread.start();
      return client;
    } catch (RuntimeException refused) {
      executor.close();
      throw refused;
    }
  }

  @Override
  public void submit(Submit submit) {
    engine.send(submit);
  }

  @Override
  public void abort(long id) {
    engine.send(new Abort(id));
  }

  @Override
  public void drain() {
    engine.send(new Drain());
  }

  @Override
  public EngineStatus status() {
    return new EngineStatus(engine.failure(), engine.ended(), engine.statistics(), 0);
  }

  /** Waits until the engine was drained or closed and its executor is closed. */
  public void awaitEnd() throws InterruptedException {
    thread.join();
  }

  /** Ends the engine after its current turn, and the executor; what still lives fails. */
  @Override
  public void close() {
    engine.close();
    boolean interrupted = false;
    while (thread.isAlive()) {
      try {
        thread.join();
      } catch (InterruptedException _) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
