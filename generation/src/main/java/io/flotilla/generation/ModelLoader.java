package io.flotilla.generation;

import io.flotilla.checkpoint.ModelConfig;
import io.flotilla.engine.EngineLimits;
import io.flotilla.engine.EngineListener;
import io.flotilla.executor.ExecutorOptions;
import io.flotilla.executor.Layout;
import io.flotilla.executor.LocalExecutor;
import io.flotilla.executor.MemoryPlan;
import io.flotilla.executor.wire.Hello;
import io.flotilla.executor.wire.NodeLinks;
import io.flotilla.executor.wire.NodePlace;
import io.flotilla.executor.wire.Rendezvous;
import io.flotilla.fleet.EngineClient;
import io.flotilla.fleet.LocalEngineClient;
import io.flotilla.fleet.Router;
import io.flotilla.fleet.remote.RemoteEngineClient;
import io.flotilla.fleet.remote.ReplicaHost.LoadedReplica;
import io.flotilla.kernels.Device;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.function.Function;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Loads one model, once. */
final class ModelLoader {
  private static final Logger LOG = LoggerFactory.getLogger(ModelLoader.class);

  private final EngineOptions options;
  private final LoadListener progress;
  private final OpenedParts parts = new OpenedParts();

  ModelLoader(EngineOptions options, LoadListener progress) {
    this.options = options;
    this.progress = progress;
  }

  /** A model whose replica runs in this process. */
  LanguageModel load(EngineListener listener) {
    return closingOnFailure(
        () -> {
          long started = begin();
          ModelSource source = ModelSource.open(find(), options, parts);
          PendingText text = text(source);
          LoadedReplica replica = start(source, listener);
          return assemble(source, text, replica.engine(), replica.maxModelLength(), started);
        });
  }

  /**
   * A model whose replica runs in a process of its own, which holds the weights.
   *
   * @param command the process's command line for a model at a path
   */
  LanguageModel loadApart(EngineListener listener, Function<Path, List<String>> command) {
    return closingOnFailure(
        () -> {
          long started = begin();
          Path path = find();
          RemoteEngineClient client =
              RemoteEngineClient.start(command.apply(path), listener, progress::onWeights);
          parts.add(client::close);
          ModelSource source = ModelSource.open(path, options, parts);
          PendingText text = text(source);
          return assemble(source, text, client, client.awaitReady(), started);
        });
  }

  /** The ranks of a node that another plans for. */
  JoinedNode join() {
    return closingOnFailure(
        () -> {
          begin();
          LocalExecutor executor = startExecutor(ModelSource.open(find(), options, parts));
          parts.add(executor::close);
          return new JoinedNode(options.placement().node(), executor, parts);
        });
  }

  /** A replica alone, without its text side. */
  LoadedReplica loadReplica(EngineListener listener) {
    return closingOnFailure(
        () -> {
          requireKnown();
          return start(ModelSource.open(find(), options, parts), listener);
        });
  }

  /** Closes whatever was opened when the work cannot go on. */
  private <T> T closingOnFailure(Loading<T> loading) {
    boolean loaded = false;
    try {
      T result = loading.run();
      loaded = true;
      return result;
    } catch (InterruptedException _) {
      Thread.currentThread().interrupt();
      throw new CancellationException("the loading of " + options.model() + " was interrupted");
    } finally {
      if (!loaded) {
        parts.close();
      }
    }
  }

  private interface Loading<T> {
    T run() throws InterruptedException;
  }

  private long begin() {
    requireKnown();
    LOG.info("Loading {}", options.model());
    return System.nanoTime();
  }

  private Path find() {
    return ModelSource.find(options, progress);
  }

  private PendingText text(ModelSource source) {
    return PendingText.start(() -> source.readText(options, progress), parts);
  }

  private LoadedReplica start(ModelSource source, EngineListener listener) {
    LocalExecutor executor = startExecutor(source);
    int length = executor.maxModelLength();
    LocalEngineClient engine = LocalEngineClient.start(executor, limits(length), listener);
    parts.add(engine::close);
    return new LoadedReplica(engine, length);
  }

  private LocalExecutor startExecutor(ModelSource source) {
    ModelConfig config = source.config();
    requireLength(config);
    Layout layout = Layout.of(options.topology(), options.placement().pipelineLayers(), config);
    NodePlace node = options.placement().node();
    int stages = node.stages(layout.stages().size());
    DeviceChoice.Chosen chosen = new DeviceChoice(options).open(layout.stageRanks() * stages);
    Joined joined = joinOrClose(source, layout, chosen);
    LocalExecutor executor =
        LocalExecutor.start(
            joined.sizes(),
            config,
            new ReportedWeights(source.weights(), progress),
            chosen.devices(),
            chosen.interconnect(),
            joined.links());
    describe(executor.memories());
    return executor;
  }

  private LanguageModel assemble(
      ModelSource source, PendingText text, EngineClient client, int maxModelLength, long started) {
    LanguageModel model =
        new LoadedModel(
            options.model(),
            source,
            text.of(source.config()),
            maxModelLength,
            options.seed(),
            new Router(List.of(client)),
            parts);
    LOG.info(
        "Loaded {} in {} s",
        options.model(),
        "%.1f".formatted(Duration.ofNanos(System.nanoTime() - started).toMillis() / 1000.0));
    return model;
  }

  private static void describe(List<MemoryPlan> memories) {
    for (int rank = 0; rank < memories.size(); rank++) {
      if (memories.size() > 1) {
        LOG.info("Memory of rank {}:", rank);
      }
      memories.get(rank).describe().lines().forEach(LOG::info);
    }
  }

  private void requireKnown() {
    requireOneOf("--load-format", options.loadFormat(), "auto", "dummy");
    requireOneOf("--dtype", options.dtype(), "auto", "float32", "bfloat16");
    requireOneOf("--device", options.device(), "auto", "cpu", "cuda");
    if (options.quantization() != null && !options.loadFormat().equals("dummy")) {
      throw new IllegalArgumentException(
          "--quantization is for --load-format dummy: real weights are used as they are stored;"
              + " choose a file that is stored that way");
    }
    limits(options.maxModelLength() == 0 ? EngineSizes.SHORTEST : options.maxModelLength());
  }

  private EngineLimits limits(int length) {
    return new EngineLimits(
        length,
        options.maxSequences(),
        options.maxBatchedTokens(),
        options.maxWaiting(),
        options.prefixCaching());
  }

  private static void requireOneOf(String flag, String value, String... known) {
    if (!List.of(known).contains(value)) {
      throw new IllegalArgumentException(
          "%s is %s; this version knows %s".formatted(flag, value, String.join(", ", known)));
    }
  }

  private void requireLength(ModelConfig config) {
    if (options.maxModelLength() > config.maxPositions()) {
      throw new IllegalArgumentException(
          "--max-model-len %d is more than the model's %d positions"
              .formatted(options.maxModelLength(), config.maxPositions()));
    }
  }

  private record Joined(ExecutorOptions sizes, NodeLinks links) {}

  /** Everything that can be refused on this node alone is, before others are waited for. */
  private Joined joinOrClose(ModelSource source, Layout layout, DeviceChoice.Chosen chosen) {
    boolean joined = false;
    try {
      ExecutorOptions sizes = sizes(source, layout, chosen);
      NodeLinks links = meet(source, chosen.devices().getFirst());
      joined = true;
      return new Joined(sizes, links);
    } finally {
      if (!joined) {
        chosen.devices().forEach(Device::close);
      }
    }
  }

  private NodeLinks meet(ModelSource source, Device device) {
    NodePlace node = options.placement().node();
    if (node.isAlone()) {
      return NodeLinks.alone();
    }
    Hello hello = new NodeIdentity(options, source).hello(device);
    return Rendezvous.meet(node, hello, Rendezvous.PATIENCE, LOG::info);
  }

  private ExecutorOptions sizes(ModelSource source, Layout layout, DeviceChoice.Chosen chosen) {
    EngineSizes sizes = new EngineSizes(options, source.config(), source.weights().totalBytes());
    ExecutorOptions found =
        sizes.on(chosen.devices(), chosen.ranksOnOne(), options.topology(), layout);
    if (found.maxModelLength() < sizes.wantedLength()) {
      LOG.warn(
          "Prompt and output have {} tokens together, not the model's {}: the KV cache of {} MiB"
              + " holds no more; raise --kv-cache-memory-bytes",
          found.maxModelLength(),
          sizes.wantedLength(),
          found.kvCacheBytes() >> 20);
    }
    return found;
  }
}
