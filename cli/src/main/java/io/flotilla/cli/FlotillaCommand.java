package io.flotilla.cli;

import io.flotilla.cli.bench.BenchCommand;
import io.flotilla.cli.chat.ChatCommand;
import io.flotilla.cli.chat.CompleteCommand;
import io.flotilla.cli.models.ModelsCommand;
import io.flotilla.cli.option.ConfigFile;
import io.flotilla.cli.option.UsageException;
import io.flotilla.cli.plan.PlanCommand;
import io.flotilla.cli.serve.ReplicaCommand;
import io.flotilla.cli.serve.ServeCommand;
import io.flotilla.cli.terminal.LogFormat;
import java.io.PrintWriter;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.ScopeType;

/** The command above all others. */
@Command(
    name = "flotilla",
    description = {"Serves large language models from the JVM.", ""},
    synopsisSubcommandLabel = "COMMAND",
    versionProvider = VersionCommand.class,
    subcommands = {
      ServeCommand.class,
      ChatCommand.class,
      CompleteCommand.class,
      ModelsCommand.class,
      PlanCommand.class,
      BenchCommand.class,
      DoctorCommand.class,
      VersionCommand.class,
      ReplicaCommand.class
    },
    footer = {
      "",
      "Start here:",
      "  flotilla serve                     serve the bundled toy model at http://localhost:8000",
      "  flotilla chat                      talk to it",
      "  flotilla serve Qwen/Qwen3-0.6B     fetch a real model and serve it",
      "  flotilla plan Qwen/Qwen3-0.6B      see how it can be spread over this machine",
      "  flotilla COMMAND --help            what a command can do"
    })
public final class FlotillaCommand {
  @Option(
      names = {"-h", "--help"},
      usageHelp = true,
      scope = ScopeType.INHERIT,
      description = "Show this help.")
  @SuppressWarnings("UnusedVariable") // picocli reads it.
  private boolean help;

  @Option(
      names = {"-V", "--version"},
      versionHelp = true,
      description = "Show the version.")
  @SuppressWarnings("UnusedVariable") // picocli reads it.
  private boolean version;

  @Option(
      names = "--verbose",
      scope = ScopeType.INHERIT,
      description = "Log more, and show the stack trace of an error.")
  private boolean verbose;

  /**
   * Runs a command line.
   *
   * @return the exit code: 0 done, 1 failed, 2 not understood
   */
  public static int run(String... args) {
    FlotillaCommand root = new FlotillaCommand();
    CommandLine commands = commands(root);
    try {
      ConfigFile.apply(commands, args);
    } catch (UsageException e) {
      return Failures.usage(commands.getErr(), e);
    }
    try {
      return commands.execute(args);
    } catch (Error e) {
      return Failures.report(commands.getErr(), e, root.verbose);
    }
  }

  /** The commands with their handling of errors, not yet run. */
  static CommandLine commands(FlotillaCommand root) {
    CommandLine commands = new CommandLine(root);
    commands.setUsageHelpAutoWidth(true);
    commands.setExecutionStrategy(
        parsed -> {
          LogFormat.install(root.verbose);
          return new CommandLine.RunLast().execute(parsed);
        });
    commands.setParameterExceptionHandler(
        (e, _) -> Failures.usage(e.getCommandLine().getErr(), VllmFlags.explain(e)));
    commands.setExecutionExceptionHandler(
        (e, command, _) -> {
          PrintWriter err = command.getErr();
          return Failures.report(err, e, root.verbose);
        });
    commands
        .getSubcommands()
        .values()
        .forEach(
            command -> {
              if (!command.getSubcommands().isEmpty()) {
                command.setExecutionStrategy(commands.getExecutionStrategy());
              }
            });
    return commands;
  }
}
