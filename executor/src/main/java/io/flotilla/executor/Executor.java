package io.flotilla.executor;

import java.util.concurrent.CompletableFuture;
import org.jspecify.annotations.Nullable;

/**
 * The ranks of one replica. Plans run in the order of submission; several may be in flight. Called
 * by the engine's thread alone, except where said.
 */
public interface Executor extends AutoCloseable {
  Topology topology();

  /** Blocks of KV cache every rank has: the minimum over ranks. */
  int kvBlocks();

  /** Tokens a KV block holds. */
  int blockSize();

  /** Sequences that may hold a slot at once: slots are {@code 0 .. maxSequences - 1}. */
  int maxSequences();

  /** Steps worth having in flight: pipeline stages + 1, so that no device waits for the host. */
  int maxStepsInFlight();

  /**
   * Queues a plan and returns at once. The future fails when a rank fails; every later one fails
   * with the same first cause.
   */
  CompletableFuture<StepResult> submit(StepPlan plan);

  /**
   * Grows while the ranks make progress (see {@code Device.progress}). Readable from any thread.
   */
  long progress();

  /**
   * Nanoseconds each pipeline stage has computed so far, waits for other stages left out. Readable
   * from any thread.
   */
  long[] busyNanos();

  /** The first cause of the replica's failure, or null while it lives. Readable from any thread. */
  @Nullable Throwable failure();

  /** Ends the ranks and frees their memory. */
  @Override
  void close();
}
