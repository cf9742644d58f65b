package io.flotilla.cli;

import io.flotilla.bench.client.ServerException;
import io.flotilla.bench.dataset.DatasetException;
import io.flotilla.checkpoint.CheckpointException;
import io.flotilla.cli.option.UsageException;
import io.flotilla.executor.wire.NodeException;
import io.flotilla.fleet.remote.ReplicaLostException;
import io.flotilla.generation.GenerationException;
import io.flotilla.tokenizer.TokenizerException;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.UncheckedIOException;
import java.util.Objects;
import java.util.concurrent.CancellationException;

/** Turns what went wrong into a line and an exit code. */
final class Failures {
  private static final int FAILED = 1;
  private static final int NOT_UNDERSTOOD = 2;
  private static final int INTERRUPTED = 130;

  private Failures() {}

  static int usage(PrintWriter err, RuntimeException failure) {
    return say(err, message(failure), NOT_UNDERSTOOD);
  }

  /**
   * @param verbose whether the stack trace is wanted
   */
  static int report(PrintWriter err, Throwable failure, boolean verbose) {
    if (verbose) {
      failure.printStackTrace(err);
    }
    return switch (failure) {
      case UsageException e -> usage(err, e);
      case CancellationException _, InterruptedException _ -> INTERRUPTED;
      case CheckpointException _,
          TokenizerException _,
          ServerException _,
          DatasetException _,
          GenerationException _,
          NodeException _,
          ReplicaLostException _,
          IllegalArgumentException _ ->
          say(err, message(failure), FAILED);
      case OutOfMemoryError e ->
          say(
              err,
              message(e) + "; lower --kv-cache-memory-bytes or --max-num-batched-tokens",
              FAILED);
      case IOException _, UncheckedIOException _ -> say(err, failure.toString(), FAILED);
      default -> {
        String hint = verbose ? "" : "; --verbose shows where";
        yield say(err, "internal error: " + failure + hint, FAILED);
      }
    };
  }

  private static int say(PrintWriter err, String message, int code) {
    err.println("flotilla: " + message);
    return code;
  }

  private static String message(Throwable failure) {
    return Objects.requireNonNullElseGet(failure.getMessage(), failure::toString);
  }
}
