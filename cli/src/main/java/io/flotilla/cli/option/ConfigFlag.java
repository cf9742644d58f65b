package io.flotilla.cli.option;

import java.nio.file.Path;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** The file that can hold a command's flags; {@link ConfigFile} has read it before they are set. */
public final class ConfigFlag {
  @Option(
      names = "--config",
      paramLabel = "FILE",
      description =
          "Flags from a YAML file: keys are long names without the dashes, and model."
              + " The command line wins.")
  @Nullable Path config;
}
