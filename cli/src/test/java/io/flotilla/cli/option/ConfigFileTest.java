package io.flotilla.cli.option;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.flotilla.generation.EngineOptions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

class ConfigFileTest {
  @Command(name = "root")
  private static final class Root {}

  @Command(name = "serve")
  private static final class Serve {
    @Parameters(arity = "0..1")
    @Nullable String model;

    @Option(names = "--allowed-origins", split = ",")
    List<String> origins = new ArrayList<>();

    @Mixin
    @SuppressWarnings("UnusedVariable") // picocli fills it.
    final ConfigFlag config = new ConfigFlag();

    @Mixin final EngineFlags engine = new EngineFlags();
  }

  @TempDir Path folder;

  private Serve parse(String yaml, String... more) throws IOException {
    Path file = Files.writeString(folder.resolve("config.yaml"), yaml);
    List<String> args = new ArrayList<>(List.of("serve", "--config", file.toString()));
    args.addAll(List.of(more));
    Serve serve = new Serve();
    CommandLine commands = new CommandLine(new Root()).addSubcommand(serve);
    String[] line = args.toArray(String[]::new);
    ConfigFile.apply(commands, line);
    commands.parseArgs(line);
    return serve;
  }

  @Test
  void takesFlagsFromTheFile() throws IOException {
    Serve serve =
        parse(
            """
            model: Qwen/Qwen3-0.6B
            max-num-seqs: 8
            max_model_len: 1024
            kv-cache-memory-bytes: 1GiB
            enable-prefix-caching: false
            allowed-origins: [http://a, http://b]
            """);

    assertThat(serve.model).isEqualTo("Qwen/Qwen3-0.6B");
    assertThat(serve.origins).containsExactly("http://a", "http://b");
    EngineOptions options = serve.engine.toOptions("m");
    assertThat(options.maxSequences()).isEqualTo(8);
    assertThat(options.maxModelLength()).isEqualTo(1024);
    assertThat(options.kvCacheBytes()).isEqualTo(1L << 30);
    assertThat(options.prefixCaching()).isFalse();
  }

  @Test
  void theCommandLineWins() throws IOException {
    Serve serve =
        parse(
            "model: a\nmax-num-seqs: 8\nno-enable-prefix-caching: true\n",
            "b",
            "--max-num-seqs",
            "9",
            "--enable-prefix-caching");

    assertThat(serve.model).isEqualTo("b");
    assertThat(serve.engine.toOptions("m").maxSequences()).isEqualTo(9);
    assertThat(serve.engine.toOptions("m").prefixCaching()).isTrue();
  }

  @Test
  void refusesAKeyThatIsNoFlag() {
    assertThatThrownBy(() -> parse("max-num-sequences: 8\nport: 1\n"))
        .isInstanceOf(UsageException.class)
        .hasMessageContaining("max-num-sequences, port");
  }

  @Test
  void refusesWhatIsNoMap() {
    assertThatThrownBy(() -> parse("- a\n")).hasMessageContaining("no map");
    assertThatThrownBy(() -> parse("a: [\n")).hasMessageContaining("no YAML");
    assertThatThrownBy(() -> parse("seed:\n  a: 1\n")).hasMessageContaining("seed needs a value");
  }

  @Test
  void namesAFileThatIsMissing() {
    CommandLine commands = new CommandLine(new Root()).addSubcommand(new Serve());

    assertThatThrownBy(() -> ConfigFile.apply(commands, "serve", "--config=nowhere.yaml"))
        .isInstanceOf(UsageException.class)
        .hasMessageContaining("nowhere.yaml cannot be read");
  }
}
