package io.flotilla.cli.archive;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/** The release archive, unpacked below a folder whose name has spaces. */
record Archive(Path home) {
  /**
   * What a command did.
   *
   * @param output what it wrote, to either stream
   */
  record Result(int exitCode, String output) {}

  private static final String VARIABLE = "JAVA_HOME";

  /** Unpacks the archive of this build. */
  static Archive unpack(Path folder) throws IOException, InterruptedException {
    Path target = Files.createDirectories(folder.resolve("a folder with spaces"));
    Path tar = root().resolve("cli/target/flotilla-0.1.0.tar.gz");
    Process process =
        new ProcessBuilder("tar", "-xzf", tar.toString(), "-C", target.toString())
            .inheritIO()
            .start();
    assertThat(process.waitFor()).as("unpacking " + tar).isZero();
    try (Stream<Path> unpacked = Files.list(target)) {
      return new Archive(unpacked.findFirst().orElseThrow());
    }
  }

  static Path root() {
    return Path.of(System.getProperty("flotilla.root"));
  }

  Path launcher() {
    return home.resolve("bin/flotilla");
  }

  /** A command of the archive, with this JVM's JDK and its streams merged. */
  ProcessBuilder command(String... arguments) {
    List<String> line = new ArrayList<>(List.of(launcher().toString()));
    line.addAll(List.of(arguments));
    return prepare(new ProcessBuilder(line));
  }

  /** A script of the shell, in this folder. */
  ProcessBuilder shell(String script) {
    return prepare(new ProcessBuilder("sh", "-euc", script)).directory(home.toFile());
  }

  private static ProcessBuilder prepare(ProcessBuilder builder) {
    builder.redirectErrorStream(true);
    Map<String, String> environment = builder.environment();
    environment.put(VARIABLE, System.getProperty("java.home"));
    environment.remove("OPENAI_API_KEY");
    return builder;
  }

  /** Runs a command to its end. */
  static Result run(ProcessBuilder builder, String input) throws IOException, InterruptedException {
    Process process = builder.start();
    try (var stdin = process.getOutputStream()) {
      stdin.write(input.getBytes(StandardCharsets.UTF_8));
    }
    String output = read(process.getInputStream());
    if (!process.waitFor(60, TimeUnit.SECONDS)) {
      process.destroyForcibly();
      throw new AssertionError(builder.command() + " did not end; it said: " + output);
    }
    return new Result(process.exitValue(), output);
  }

  private static String read(InputStream stream) {
    try (stream) {
      return new String(stream.readAllBytes(), StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
