package io.flotilla.generation;

import io.flotilla.checkpoint.ModelConfig;
import io.flotilla.executor.ExecutorOptions;
import io.flotilla.executor.Layout;
import io.flotilla.executor.Topology;
import io.flotilla.kernels.Device;
import io.flotilla.kernels.DeviceMemory;
import java.util.Comparator;
import java.util.List;

/**
 * Fills in what options leave open: the greatest length and the size of the KV cache.
 *
 * @param weights bytes of all weights as stored
 */
record EngineSizes(EngineOptions options, ModelConfig config, long weights) {
  /** A token of prompt and one of output. */
  static final int SHORTEST = 2;

  /** Tokens of a sequence that are wanted. */
  int wantedLength() {
    return options.maxModelLength() > 0 ? options.maxModelLength() : config.maxPositions();
  }

  /**
   * The sizes of an executor on devices of this machine, which are all alike.
   *
   * @param devices one for each rank of this machine
   * @param ranksOnOne ranks that share a device's memory
   */
  ExecutorOptions on(List<Device> devices, int ranksOnOne, Topology topology, Layout layout) {
    Device device = devices.getFirst();
    long block = layout.largestKvBlockBytes(config, device, options.blockSize());
    int wanted = wantedLength();
    long kvCache = options.kvCacheBytes();
    if (kvCache == 0) {
      kvCache =
          devices.stream()
              .flatMap(each -> each.memory().stream())
              .min(Comparator.comparingLong(DeviceMemory::free))
              .map(
                  memory ->
                      GpuMemoryBudget.of(config, options, layout, wanted)
                          .kvCacheBytes(memory, ranksOnOne))
              .orElseGet(() -> share(topology, devices.size(), block, wanted));
    }
    return withCache(topology, fittingLength(topology, kvCache, block), kvCache);
  }

  /** The length that a KV cache allows, where none was asked for. */
  int fittingLength(Topology topology, long kvCache, long block) {
    int wanted = wantedLength();
    long fitting = kvCache / block * tokensPerBlock(topology);
    boolean open = options.maxModelLength() == 0;
    return open && fitting < wanted && fitting >= SHORTEST ? (int) fitting : wanted;
  }

  /** Tokens of a block, of all ranks that hold its tokens between them. */
  int tokensPerBlock(Topology topology) {
    return options.blockSize() * topology.decodeContext();
  }

  ExecutorOptions withCache(Topology topology, int length, long kvCache) {
    return new ExecutorOptions(
        topology,
        length,
        options.maxSequences(),
        options.maxBatchedTokens(),
        kvCache,
        options.blockSize(),
        options.placement().pipelineLayers());
  }

  /**
   * Whole blocks for every sequence, since a last block that is not full takes the space of one.
   * The ranks share this machine's memory, and each gets as much as the one that needs most.
   */
  private long share(Topology topology, int ranks, long block, int length) {
    int tokens = tokensPerBlock(topology);
    int whole = Math.ceilDiv(length, tokens) * tokens;
    KvCacheBudget budget =
        new KvCacheBudget(
            Math.ceilDiv(block * ranks, tokens), KvCacheBudget.availableMemory(), weights);
    return budget.bytes(whole, options.maxSequences()) / ranks;
  }
}
