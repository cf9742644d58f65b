package io.flotilla.cli.serve;

import io.flotilla.cli.option.EngineFlags;
import io.flotilla.fleet.remote.ReplicaHost;
import io.flotilla.generation.EngineOptions;
import io.flotilla.generation.LanguageModel;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import org.jline.utils.Signals;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

/** The process of a replica, which {@code serve} starts. */
@Command(
    name = "replica",
    hidden = true,
    sortOptions = false,
    description = {"Run a replica for the flotilla serve that starts this command.", ""})
public final class ReplicaCommand implements Callable<Integer> {
  private static final int FAILED = 1;

  @Parameters(paramLabel = "MODEL", description = "A folder or a .gguf file.")
  private String model = "";

  @Mixin private final EngineFlags engine = new EngineFlags();

  /**
   * A command line that ends up here.
   *
   * @param home the archive's folder
   * @param model a folder or a file
   */
  static List<String> line(Path home, Path model, EngineOptions options, boolean verbose) {
    List<String> line = new ArrayList<>(List.of(home.resolve("bin/flotilla").toString()));
    line.add("replica");
    line.add(model.toString());
    line.addAll(EngineFlags.argumentsOf(options));
    if (verbose) {
      line.add("--verbose");
    }
    return line;
  }

  /** Does not return when the replica ends otherwise than by draining: a rank may hang for ever. */
  @Override
  public Integer call() throws IOException, InterruptedException {
    EngineOptions options = engine.toOptions(model);
    ReplicaHost host = ReplicaHost.connect(System.in, () -> Runtime.getRuntime().halt(FAILED));
    // The terminal's interrupt goes to all its processes; the server decides what comes of it.
    Signals.register("INT", () -> {});
    Signals.register("TERM", host::drain);
    if (!LanguageModel.hostReplica(host, options)) {
      Runtime.getRuntime().halt(FAILED);
    }
    return 0;
  }
}
