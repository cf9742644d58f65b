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
import io.flotilla.fleet.LocalEngineClient;
import io.flotilla.fleet.Router;
import io.flotilla.kernels.Device;
import java.time.Duration;
import java.util.List;
import java.util.function.Supplier;
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

  /** Closes whatever it has opened when it cannot go on. */
  LanguageModel load(EngineListener listener) {
    return closingUnlessDone(() -> start(listener));
  }

  /** The same, of a node that another plans for. */
  JoinedNode join() {
    return closingUnlessDone(
        () -> {
          ModelSource source = ModelSource.open(options, progress, parts);
          LocalExecutor executor = startExecutor(source);
          parts.add(executor::close);
          return new JoinedNode(options.placement().node(), executor, parts);
        });
  }

  private <T> T closingUnlessDone(Supplier<T> loading) {
    boolean done = false;
    try {
      requireKnown();
      LOG.info("Loading {}", options.model());
      T loaded = loading.get();
      done = true;
      return loaded;
    } finally {
      if (!done) {
        parts.close();
      }
    }
  }

  private LanguageModel start(EngineListener listener) {
    long started = System.nanoTime();
    ModelSource source = ModelSource.open(options, progress, parts);
    LocalExecutor executor = startExecutor(source);
    int length = executor.maxModelLength();
    Router router =
        new Router(List.of(LocalEngineClient.start(executor, limits(length), listener)));
    parts.add(router::close);
    LanguageModel model =
        new LoadedModel(options.model(), source, length, options.seed(), router, parts);
    LOG.info(
        "Loaded {} in {} s",
        options.model(),
        "%.1f".formatted(Duration.ofNanos(System.nanoTime() - started).toMillis() / 1000.0));
    return model;
  }

  private LocalExecutor startExecutor(ModelSource source) {
    ModelConfig config = source.config();
    requireLength(config);
    Layout layout = Layout.of(options.topology(), options.placement().pipelineLayers(), config);
    NodePlace node = options.placement().node();
    int stages = node.stages(layout.stages().size());
    DeviceChoice.Chosen chosen =
        new DeviceChoice(options).open(layout.ranks() / layout.stages().size() * stages);
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
      Hello hello = new NodeIdentity(options, source).hello(chosen.devices().getFirst());
      NodeLinks links =
          Rendezvous.meet(options.placement().node(), hello, Rendezvous.PATIENCE, LOG::info);
      joined = true;
      return new Joined(sizes, links);
    } finally {
      if (!joined) {
        chosen.devices().forEach(Device::close);
      }
    }
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
