package io.flotilla.cli.option;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.snakeyaml.engine.v2.api.Load;
import org.snakeyaml.engine.v2.api.LoadSettings;
import org.snakeyaml.engine.v2.exceptions.YamlEngineException;
import picocli.CommandLine;
import picocli.CommandLine.IDefaultValueProvider;
import picocli.CommandLine.Model.ArgSpec;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;

/**
 * Flags from a file, as vLLM reads them: YAML whose keys are the long names of flags, and {@code
 * model}. They take the place of defaults, so the command line wins.
 */
public final class ConfigFile implements IDefaultValueProvider {
  private static final String FLAG = "--config";
  private static final String MODEL = "model";

  private final Map<String, String> values;

  private ConfigFile(Map<String, String> values) {
    this.values = values;
  }

  /**
   * Reads the file that the arguments name, if any, and gives its values to the command.
   *
   * @param commands the command and its subcommands
   * @throws UsageException when the file cannot be read or has a key that is no flag
   */
  public static void apply(CommandLine commands, String... args) {
    Path path = named(args);
    if (path == null) {
      return;
    }
    CommandLine command = commands;
    for (String arg : args) {
      CommandLine next = command.getSubcommands().get(arg);
      if (next == null) {
        break;
      }
      command = next;
    }
    CommandSpec spec = command.getCommandSpec();
    if (spec.findOption(FLAG) != null) {
      command.setDefaultValueProvider(new ConfigFile(read(path, spec)));
    }
  }

  private static @Nullable Path named(String... args) {
    for (int i = 0; i < args.length; i++) {
      if (args[i].equals(FLAG) && i + 1 < args.length) {
        return Path.of(args[i + 1]);
      }
      if (args[i].startsWith(FLAG + "=")) {
        return Path.of(args[i].substring(FLAG.length() + 1));
      }
    }
    return null;
  }

  private static Map<String, String> read(Path path, CommandSpec spec) {
    Map<String, String> values = new LinkedHashMap<>();
    Set<String> unknown = new HashSet<>();
    load(path)
        .forEach(
            (key, value) -> {
              String name = key.toString().replace('_', '-');
              boolean flag = isFlag(spec, "--" + name);
              if (flag || (name.equals(MODEL) && !spec.positionalParameters().isEmpty())) {
                values.put(name, text(path, key, value));
              } else {
                unknown.add(key.toString());
              }
            });
    if (!unknown.isEmpty()) {
      throw new UsageException(
          "%s: no flag of '%s' is called %s; see its --help"
              .formatted(
                  path,
                  spec.qualifiedName(),
                  unknown.stream().sorted().collect(Collectors.joining(", "))));
    }
    return values;
  }

  private static boolean isFlag(CommandSpec spec, String name) {
    return !name.equals(FLAG)
        && (spec.findOption(name) != null || spec.negatedOptionsMap().containsKey(name));
  }

  private static Map<?, ?> load(Path path) {
    try {
      Object root =
          new Load(LoadSettings.builder().setLabel(path.toString()).build())
              .loadFromString(Files.readString(path));
      if (root instanceof Map<?, ?> map) {
        return map;
      }
      throw new UsageException(path + " is no map of flags to values");
    } catch (IOException e) {
      throw new UsageException("--config " + path + " cannot be read: " + e);
    } catch (YamlEngineException e) {
      throw new UsageException(
          path + " is no YAML: " + String.valueOf(e.getMessage()).replaceAll("\\s+", " "));
    }
  }

  private static String text(Path path, Object key, @Nullable Object value) {
    if (value instanceof List<?> list) {
      return list.stream().map(String::valueOf).collect(Collectors.joining(","));
    }
    if (value == null || value instanceof Map<?, ?>) {
      throw new UsageException(path + ": " + key + " needs a value or a list of values");
    }
    return value.toString();
  }

  @Override
  public @Nullable String defaultValue(ArgSpec argument) {
    if (argument instanceof OptionSpec option) {
      for (String name : option.names()) {
        String value = values.get(name.replaceFirst("^--", ""));
        if (value != null) {
          return value;
        }
      }
      return negated(option);
    }
    return values.get(MODEL);
  }

  /** The value of a flag that the file names by its other half, {@code no-...}. */
  private @Nullable String negated(OptionSpec option) {
    if (!option.negatable()) {
      return null;
    }
    String value = values.get(option.longestName().replaceFirst("^--", "no-"));
    return value == null ? null : Boolean.toString(!Boolean.parseBoolean(value));
  }
}
