package io.flotilla.cli.chat;

import io.flotilla.bench.client.ServerException;
import io.flotilla.cli.option.EngineFlags;
import io.flotilla.cli.terminal.Terminals;
import io.flotilla.generation.GenerationException;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.Callable;
import org.jline.reader.EndOfFileException;
import org.jline.reader.LineReader;
import org.jline.reader.LineReaderBuilder;
import org.jline.reader.UserInterruptException;
import org.jline.terminal.Terminal;
import org.jline.terminal.TerminalBuilder;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Talks with a model. */
@Command(
    name = "chat",
    sortOptions = false,
    description = {
      "Talk with a model: the one a server serves, or MODEL in this process.",
      "Input that is no terminal is read line by line, a turn each.",
      ""
    },
    footer = {
      "",
      "Examples:",
      "  flotilla chat",
      "  flotilla chat --url http://gpu-box:8000 --system 'Answer in French.'",
      "  flotilla chat Qwen/Qwen3-0.6B --temperature 0",
      "  echo 'Hello' | flotilla chat models/pocket"
    })
public final class ChatCommand implements Callable<Integer> {
  @Spec private CommandSpec spec = CommandSpec.create();

  @Parameters(
      arity = "0..1",
      paramLabel = "MODEL",
      description = "A folder, a .gguf file or a hub id to run here; without it a server is asked.")
  private @Nullable String model;

  @Mixin private final ServerFlag server = new ServerFlag();

  @Option(names = "--system", paramLabel = "TEXT", description = "The system message.")
  private @Nullable String system;

  @Mixin private final SamplingFlags sampling = new SamplingFlags();
  @Mixin private final EngineFlags engine = new EngineFlags();

  @Override
  public Integer call() throws ServerException, InterruptedException, IOException {
    try (TextModel opened = TextModels.open(model, engine, server, sampling)) {
      if (Terminals.areInteractive()) {
        converse(opened);
      } else {
        readTurns(opened, spec.commandLine().getOut());
      }
    }
    return 0;
  }

  private void readTurns(TextModel opened, PrintWriter out) throws ServerException, IOException {
    Conversation conversation = new Conversation(opened, out, system);
    BufferedReader lines =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      conversation.say(line);
    }
  }

  private void converse(TextModel opened) throws IOException {
    try (Terminal terminal = openTerminal()) {
      PrintWriter out = terminal.writer();
      out.println("Talking with " + opened.name() + ".\n" + Conversation.HELP);
      Conversation conversation = new Conversation(opened, out, system);
      LineReader reader = LineReaderBuilder.builder().terminal(terminal).build();
      Thread speaker = Thread.currentThread();
      terminal.handle(Terminal.Signal.INT, _ -> speaker.interrupt());
      while (true) {
        try {
          conversation.say(reader.readLine("> "));
        } catch (UserInterruptException e) {
          out.println("(Ctrl-D leaves)");
        } catch (EndOfFileException e) {
          return;
        } catch (ServerException | GenerationException | IllegalArgumentException e) {
          out.println("(" + e.getMessage() + ")");
          out.flush();
        }
      }
    }
  }

  /** A terminal without native code, whose Ctrl-C is handled here and does not end the process. */
  private static Terminal openTerminal() throws IOException {
    return TerminalBuilder.builder()
        .provider("exec")
        .nativeSignals(true)
        .signalHandler(Terminal.SignalHandler.SIG_IGN)
        .build();
  }
}
