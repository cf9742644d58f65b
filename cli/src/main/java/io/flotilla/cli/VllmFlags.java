package io.flotilla.cli;

import io.flotilla.cli.option.UsageException;
import java.util.Map;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.UnmatchedArgumentException;

/** Flags of vLLM that this version has no use for, and what to use in their place. */
final class VllmFlags {
  private static final Map<String, String> INSTEAD =
      Map.of(
          "--kv-cache-dtype",
          "the KV cache has the type of --dtype: leave it out",
          "--swap-space",
          "preempted requests are computed again: leave it out",
          "--enforce-eager",
          "nothing is compiled at start: leave it out",
          "--trust-remote-code",
          "no code of a model is ever run: leave it out",
          "--enable-chunked-prefill",
          "prompts are always computed in chunks: leave it out",
          "--block-size",
          "blocks hold 16 tokens: leave it out",
          "--api-server-count",
          "one process answers every request on virtual threads: leave it out");

  private VllmFlags() {}

  /** What is wrong with a command line, with a hint where there is one. */
  static UsageException explain(ParameterException failure) {
    String message = String.valueOf(failure.getMessage());
    if (failure instanceof UnmatchedArgumentException unmatched) {
      for (String argument : unmatched.getUnmatched()) {
        String flag = argument.replaceFirst("=.*", "");
        String hint = INSTEAD.get(flag.replaceFirst("^--no-", "--"));
        if (hint != null) {
          return new UsageException(flag + ": " + hint);
        }
      }
      String command = failure.getCommandLine().getCommandSpec().qualifiedName();
      return new UsageException(message + "; see: " + command + " --help");
    }
    return new UsageException(message);
  }
}
