package io.flotilla.cli.archive;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;

@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class LauncherTest {
  private Archive archive = new Archive(Path.of(""));

  @BeforeAll
  void unpack(@TempDir Path folder) throws IOException, InterruptedException {
    archive = Archive.unpack(folder);
  }

  private static Archive.Result run(ProcessBuilder builder)
      throws IOException, InterruptedException {
    return Archive.run(builder, "");
  }

  @Test
  void runsFromAnyFolderThroughALink(@TempDir Path elsewhere) throws Exception {
    Path link = Files.createSymbolicLink(elsewhere.resolve("flot"), archive.launcher());
    ProcessBuilder builder = archive.command("version").directory(elsewhere.toFile());
    builder.command().set(0, link.toString());

    Archive.Result result = run(builder);

    assertThat(result.output()).contains("flotilla 0.1.0 (Java 25");
    assertThat(result.exitCode()).isZero();
  }

  @Test
  void findsTheJdkOnThePathWhenJavaHomeIsWrong(@TempDir Path wrong) throws Exception {
    ProcessBuilder builder = archive.command("version");
    builder.environment().put("JAVA_HOME", wrong.toString());
    builder
        .environment()
        .merge("PATH", System.getProperty("java.home") + "/bin", (old, jdk) -> jdk + ":" + old);

    assertThat(run(builder).output()).contains("flotilla 0.1.0 (Java 25");
  }

  @Test
  void saysWhereItLookedWhenThereIsNoJdk(@TempDir Path wrong) throws Exception {
    String finder = Files.readString(archive.home().resolve("launcher/find-jdk.sh"));
    Path patched =
        Files.writeString(
            wrong.resolve("find-jdk.sh"), finder.replace("/usr/lib/jvm", wrong.toString()));
    ProcessBuilder builder = archive.shell(". '" + patched + "'");
    builder.environment().put("JAVA_HOME", "/nowhere");
    builder.environment().put("PATH", toolsWithoutJava(wrong));
    builder.command().set(0, "/bin/sh");

    Archive.Result result = run(builder);

    assertThat(result.exitCode()).isEqualTo(1);
    assertThat(result.output()).contains("no JDK 25 found", "JAVA_HOME (/nowhere)", "install one");
  }

  private static String toolsWithoutJava(Path folder) throws IOException {
    Path tools = Files.createDirectory(folder.resolve("tools"));
    for (String tool : List.of("sed", "dirname", "readlink")) {
      Path script = tools.resolve(tool);
      Files.writeString(script, "#!/bin/sh\nPATH=/usr/bin:/bin exec " + tool + " \"$@\"\n");
      assertThat(script.toFile().setExecutable(true)).isTrue();
    }
    return tools.toString();
  }

  @Test
  void passesArgumentsAndExitCodesThrough() throws Exception {
    Archive.Result result = run(archive.command("complete", "two words", "--no such flag"));

    assertThat(result.exitCode()).isEqualTo(2);
    assertThat(result.output()).contains("--no such flag");
  }

  @Test
  void holdsWhatAReleaseNeeds() {
    assertThat(archive.home().resolve("LICENSE")).exists();
    assertThat(archive.home().resolve("README.md")).exists();
    assertThat(archive.home().resolve("models/pocket/README.md")).exists();
    assertThat(archive.home().resolve("models/pocket/model.safetensors")).exists();
    assertThat(archive.home().resolve("lib")).isDirectoryContaining("glob:**/flotilla-cli-*.jar");
    assertThat(archive.home().resolve("lib")).isDirectoryNotContaining("glob:**/jspecify*");
  }
}
