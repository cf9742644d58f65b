package io.flotilla.cli.chat;

import io.flotilla.bench.client.ServerException;
import io.flotilla.cli.option.EngineFlags;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Continues a text. */
@Command(
    name = "complete",
    sortOptions = false,
    description = {
      "Continue a text as it stands, without a chat template.",
      "The prompt is the argument, or else standard input.",
      ""
    },
    footer = {
      "",
      "Examples:",
      "  flotilla complete 'Once upon a time' --max-tokens 64",
      "  flotilla complete --model ./model.gguf < prompt.txt"
    })
public final class CompleteCommand implements Callable<Integer> {
  @Spec private CommandSpec spec = CommandSpec.create();

  @Parameters(arity = "0..1", paramLabel = "PROMPT", description = "The text to continue.")
  private @Nullable String prompt;

  @Mixin private final ServerFlag server = new ServerFlag();

  @Option(
      names = "--model",
      paramLabel = "MODEL",
      description = "A folder, a .gguf file or a hub id to run here; without it a server is asked.")
  private @Nullable String model;

  @Mixin private final SamplingFlags sampling = new SamplingFlags();
  @Mixin private final EngineFlags engine = new EngineFlags();

  @Override
  public Integer call() throws ServerException, InterruptedException, IOException {
    String text =
        prompt == null
            ? new String(System.in.readAllBytes(), StandardCharsets.UTF_8).stripTrailing()
            : prompt;
    PrintWriter out = spec.commandLine().getOut();
    try (TextModel opened = TextModels.open(model, engine, server, sampling)) {
      opened.complete(
          text,
          piece -> {
            out.print(piece);
            out.flush();
          });
    }
    out.println();
    out.flush();
    return 0;
  }
}
