package io.flotilla.cli.serve;

import io.flotilla.cli.option.ConfigFlag;
import io.flotilla.cli.option.EngineFlags;
import io.flotilla.cli.option.UsageException;
import io.flotilla.cli.terminal.LoadBar;
import io.flotilla.generation.EngineOptions;
import io.flotilla.generation.JoinedNode;
import io.flotilla.generation.LanguageModel;
import io.flotilla.generation.ThisMachine;
import io.flotilla.server.OpenAiServer;
import io.flotilla.server.ServerMetrics;
import io.flotilla.server.ServerOptions;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import java.util.function.Function;
import org.jline.utils.Signals;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Serves a model until it is told to end. */
@Command(
    name = "serve",
    sortOptions = false,
    description = {
      "Serve a model at an OpenAI-compatible address. Without MODEL it is the bundled toy.",
      "Ctrl-C and SIGTERM let what runs finish; a second one does not.",
      ""
    },
    footer = {
      "",
      "Examples:",
      "  flotilla serve",
      "  flotilla serve Qwen/Qwen3-0.6B --max-model-len 8192",
      "  flotilla serve ./model.gguf --host 0.0.0.0 --api-key SECRET --served-model-name chat"
    })
public final class ServeCommand implements Callable<Integer> {
  private static final Logger LOG = LoggerFactory.getLogger(ServeCommand.class);

  private static final String HOME = "flotilla.home";

  /** What ends the server, and the exit code when it comes twice. */
  private static final Map<String, Integer> SIGNALS = Map.of("INT", 130, "TERM", 143);

  /** How often it is seen whether a replica lives. */
  private static final Duration WATCH = Duration.ofMillis(500);

  /** How long clients may still ask why the last replica failed. */
  private static final Duration LAST_WORDS = Duration.ofSeconds(5);

  @Spec private CommandSpec spec = CommandSpec.create();

  @Parameters(
      arity = "0..1",
      paramLabel = "MODEL",
      description = "A folder, a .gguf file or a hub id. Default: the bundled toy model.")
  private @Nullable String model;

  @Mixin
  @SuppressWarnings("UnusedVariable") // ConfigFile reads it.
  private final ConfigFlag config = new ConfigFlag();

  @ArgGroup(validate = false, order = 5, heading = "%nAddress:%n")
  private final AddressFlags address = new AddressFlags();

  @ArgGroup(validate = false, order = 40, heading = "%nSeveral hosts:%n")
  private final NodeFlags nodes = new NodeFlags();

  @Option(
      names = "--shutdown-timeout",
      paramLabel = "SECONDS",
      defaultValue = "30",
      description = "How long what runs may take to finish at the end. Default: ${DEFAULT-VALUE}.")
  private int patience = 30;

  @Option(
      names = "--replica-process",
      hidden = true,
      description = "Run the replica in a process of its own, as is done for a GPU.")
  private boolean replicaProcess;

  @Mixin private final EngineFlags engine = new EngineFlags();

  @Override
  public Integer call() throws InterruptedException {
    String path = model == null ? bundled().toString() : model;
    String name = model == null ? BundledModel.NAME : model;
    if (patience < 0) {
      throw new UsageException(
          "--shutdown-timeout is " + patience + "; it must be at least 0 seconds");
    }
    EngineOptions asked = engine.toOptions(path);
    EngineOptions options = asked.on(nodes.toPlace(asked.topology().pipeline()));
    if (!options.placement().node().isMaster()) {
      computeForOthers(options);
      return 0;
    }
    ServerOptions listening = address.toOptions(name, System.getenv());
    AddressFlags.requireFree(listening);
    if (AddressFlags.isOpenToOthers(listening)) {
      LOG.warn("Anyone who reaches {} can use this server: give it an --api-key", listening.host());
    }
    ServerMetrics metrics =
        new ServerMetrics(listening.metricsPrefix(), listening.servedModelNames().getFirst());
    boolean apart = runsApart(options);
    try (LanguageModel loaded = load(options, metrics, apart);
        OpenAiServer server = OpenAiServer.start(loaded, listening, metrics)) {
      CountDownLatch ending = endingBySignal();
      announce(listening, server.port());
      serve(server, ending, () -> !apart && isLost(loaded));
    }
    return 0;
  }

  /** Whether the replica is a process that is started again; one of several hosts cannot be. */
  private boolean runsApart(EngineOptions options) {
    return options.placement().node().isAlone()
        && (replicaProcess || ThisMachine.needsReplicaProcess(options));
  }

  /** Returns when node 0 has ended. */
  private void computeForOthers(EngineOptions options) throws InterruptedException {
    try (JoinedNode node = join(options)) {
      PrintWriter out = spec.commandLine().getOut();
      out.println(node.describe());
      out.flush();
      node.awaitEnd();
    }
  }

  private static JoinedNode join(EngineOptions options) {
    try (LoadBar bar = new LoadBar(options.model())) {
      return JoinedNode.join(options, bar);
    }
  }

  private Path bundled() {
    Path folder = BundledModel.find(System.getProperty(HOME));
    LOG.info(
        "Serving the bundled model, a toy of 16 million parameters; for a real one:"
            + " flotilla serve Qwen/Qwen3-0.6B");
    return folder;
  }

  private LanguageModel load(EngineOptions options, ServerMetrics metrics, boolean apart) {
    try (LoadBar bar = new LoadBar(options.model())) {
      return apart
          ? LanguageModel.loadApart(options, metrics, bar, replica(options))
          : LanguageModel.load(options, metrics, bar);
    }
  }

  private Function<Path, List<String>> replica(EngineOptions options) {
    String home = System.getProperty(HOME);
    if (home == null) {
      throw new IllegalStateException(
          "a replica's process is started by bin/flotilla, but this one was not");
    }
    boolean verbose = Boolean.TRUE.equals(spec.findOption("--verbose").getValue());
    return path -> ReplicaCommand.line(Path.of(home), path, options, verbose);
  }

  private void announce(ServerOptions listening, int port) {
    String scheme = listening.certificate() == null ? "http" : "https";
    String host = listening.host().contains(":") ? "[" + listening.host() + "]" : listening.host();
    PrintWriter out = spec.commandLine().getOut();
    out.printf(
        "Serving %s at %s://%s:%d/v1 (Ctrl-C ends)%n",
        listening.servedModelNames().getFirst(), scheme, host, port);
    out.flush();
  }

  /** From now on a signal opens the latch; before the address is known, so that none is lost. */
  private static CountDownLatch endingBySignal() {
    CountDownLatch ending = new CountDownLatch(1);
    SIGNALS.forEach((signal, code) -> Signals.register(signal, () -> end(ending, code)));
    return ending;
  }

  /** Returns when the server was told to end and has ended. */
  private void serve(OpenAiServer server, CountDownLatch ending, BooleanSupplier lost)
      throws InterruptedException {
    while (!ending.await(WATCH.toMillis(), TimeUnit.MILLISECONDS)) {
      if (lost.getAsBoolean()) {
        endWithout(ending);
      }
    }
    LOG.info("Letting what runs finish, for {} s at most; a second signal ends it", patience);
    server.drain(Duration.ofSeconds(patience));
  }

  private static boolean isLost(LanguageModel loaded) {
    return loaded.statuses().stream().allMatch(status -> status.failure() != null);
  }

  /**
   * Ends this process unless it is told to first: whoever watches over it starts it again. A thread
   * that hangs could not be ended in another way.
   */
  private static void endWithout(CountDownLatch ending) throws InterruptedException {
    LOG.error("No replica lives: ending in {} s", LAST_WORDS.toSeconds());
    if (!ending.await(LAST_WORDS.toMillis(), TimeUnit.MILLISECONDS)) {
      Runtime.getRuntime().halt(1);
    }
  }

  private static void end(CountDownLatch ending, int code) {
    if (ending.getCount() == 0) {
      Runtime.getRuntime().halt(code);
    }
    ending.countDown();
  }
}
