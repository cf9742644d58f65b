package io.flotilla.generation;

import io.flotilla.checkpoint.Checkpoint;
import io.flotilla.checkpoint.ConfigFiles;
import io.flotilla.checkpoint.DummyWeights;
import io.flotilla.checkpoint.ElementType;
import io.flotilla.checkpoint.ModelConfig;
import io.flotilla.checkpoint.WeightSource;
import io.flotilla.checkpoint.hub.Hub;
import io.flotilla.checkpoint.hub.HubSettings;
import io.flotilla.executor.ExecutorOptions;
import io.flotilla.executor.Layout;
import io.flotilla.executor.LayoutPlan;
import io.flotilla.executor.Topology;
import io.flotilla.generation.ModelPlan.PlannedLayout;
import io.flotilla.kernels.Device;
import io.flotilla.kernels.DeviceMemory;
import io.flotilla.model.Architectures;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** Plans every layout of one model. */
final class LayoutPlanner {
  private final EngineOptions options;
  private final LoadListener progress;

  LayoutPlanner(EngineOptions options, LoadListener progress) {
    this.options = options;
    this.progress = progress;
  }

  private record Shape(ModelConfig config, WeightSource weights) implements AutoCloseable {
    @Override
    public void close() {
      weights.close();
    }
  }

  ModelPlan plan(@Nullable Machine given) {
    try (Shape shape = open()) {
      Architectures.requireSupported(shape.config);
      try (Device device = device(given)) {
        Machine machine = known(given, device);
        List<PlannedLayout> layouts = new ArrayList<>();
        for (Topology topology : Layout.dividing(machine.devices(), shape.config)) {
          layouts.add(plan(topology, machine, device, shape));
        }
        return new ModelPlan(shape.config, machine, layouts);
      }
    }
  }

  private Device device(@Nullable Machine given) {
    return given != null && given.deviceMemory() > 0
        ? new DescribedGpu(given.deviceMemory())
        : new DeviceChoice(options).open(1).devices().getFirst();
  }

  /** Fills in what was not said of this machine. */
  private Machine known(@Nullable Machine given, Device device) {
    if (given != null && given.deviceMemory() > 0) {
      return given;
    }
    long memory = device.memory().map(DeviceMemory::total).orElse(0L);
    int devices = memory > 0 ? 1 : cores();
    if (given != null) {
      devices = given.devices() > 0 ? given.devices() : devices;
    }
    Machine.Speed speed = given == null ? Machine.Speed.UNKNOWN : given.speed();
    return new Machine(device.name(), devices, memory, speed);
  }

  private int cores() {
    return options.threads() > 0 ? options.threads() : Runtime.getRuntime().availableProcessors();
  }

  private PlannedLayout plan(Topology topology, Machine machine, Device device, Shape shape) {
    try {
      LayoutPlan plan =
          LayoutPlan.of(sizes(topology, device, shape), shape.config, shape.weights, device);
      return PlannedLayout.of(plan, machine.rankSpeed(topology.ranksPerReplica()));
    } catch (IllegalArgumentException refused) {
      return PlannedLayout.unfitting(topology, String.valueOf(refused.getMessage()));
    }
  }

  private ExecutorOptions sizes(Topology topology, Device device, Shape shape) {
    Layout layout = Layout.of(topology, List.of(), shape.config);
    EngineSizes sizes = new EngineSizes(options, shape.config, shape.weights.totalBytes());
    if (options.kvCacheBytes() > 0 || !(device instanceof DescribedGpu)) {
      return sizes.on(List.of(device), 1, topology, layout);
    }
    long block = layout.largestKvBlockBytes(shape.config, device, options.blockSize());
    int length = sizes.wantedLength();
    long one = block * Math.ceilDiv(length, sizes.tokensPerBlock(topology));
    LayoutPlan bare =
        LayoutPlan.of(sizes.withCache(topology, length, one), shape.config, shape.weights, device);
    long left =
        GpuMemoryBudget.left(
            options.gpuMemoryUtilization(),
            device.memory().orElseThrow(),
            bare.largestBesidesKvCache());
    return sizes.withCache(topology, sizes.fittingLength(topology, left, block), left);
  }

  /** Where there are no weights, they are taken to be bf16. */
  private Shape open() {
    Hub hub = new Hub(HubSettings.ofEnvironment());
    Path path = hub.resolveWithoutWeights(options.model(), progress);
    if (options.loadFormat().equals("dummy") || !hasWeights(path)) {
      ModelConfig config = ConfigFiles.model(path);
      return new Shape(config, new DummyWeights(config, ElementType.BF16, 0));
    }
    Checkpoint checkpoint = Checkpoint.open(path);
    return new Shape(checkpoint.config(), checkpoint);
  }

  private static boolean hasWeights(Path path) {
    if (!Files.isDirectory(path)) {
      return true;
    }
    try (Stream<Path> files = Files.list(path)) {
      return files.anyMatch(file -> file.toString().endsWith(".safetensors"));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
