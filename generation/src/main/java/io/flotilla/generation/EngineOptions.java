package io.flotilla.generation;

import io.flotilla.executor.Topology;
import io.flotilla.executor.wire.NodePlace;
import org.jspecify.annotations.Nullable;

/**
 * How a model is loaded and run; the {@code serve} flags of the same names.
 *
 * @param model a folder, a {@code .gguf} file or a Hugging Face id
 * @param tokenizer where the tokenizer comes from, or null for the model's own
 * @param chatTemplate a template's file or text that replaces the model's, or null
 * @param loadFormat {@code auto} or {@code dummy}
 * @param quantization type of dummy weights ({@code q8_0} ...), or null for BF16
 * @param dtype type of activations and KV cache: {@code auto}, {@code float32} on a CPU or {@code
 *     bfloat16} on a GPU
 * @param device {@code auto}, {@code cpu} or {@code cuda}
 * @param threads CPU threads, or 0 for all cores
 * @param placement where the ranks run and what they hold
 * @param maxModelLength tokens of prompt and output together, or 0 for the model's own
 * @param maxSequences sequences that run at once
 * @param maxBatchedTokens tokens a step computes at most
 * @param maxWaiting requests that wait at most; more are refused
 * @param kvCacheBytes memory of the KV cache, or 0 for a share of what is free
 * @param gpuMemoryUtilization share of a GPU's memory that is used, where {@code kvCacheBytes} is 0
 * @param prefixCaching whether the blocks of equal prefixes are shared
 * @param seed the seed of requests that bring none, and of dummy weights
 */
public record EngineOptions(
    String model,
    @Nullable String tokenizer,
    @Nullable String chatTemplate,
    String loadFormat,
    @Nullable String quantization,
    String dtype,
    String device,
    int threads,
    Topology topology,
    Placement placement,
    int maxModelLength,
    int maxSequences,
    int maxBatchedTokens,
    int maxWaiting,
    long kvCacheBytes,
    double gpuMemoryUtilization,
    int blockSize,
    boolean prefixCaching,
    long seed) {
  /** The defaults of {@code flotilla serve MODEL}. */
  public static EngineOptions of(String model) {
    return new EngineOptions(
        model,
        null,
        null,
        "auto",
        null,
        "auto",
        "auto",
        0,
        Topology.SINGLE,
        Placement.DEFAULT,
        0,
        256,
        2048,
        1024,
        0,
        0.9,
        16,
        true,
        0);
  }

  /** These options with another bound on the requests that wait. */
  public EngineOptions withMaxWaiting(int requests) {
    return new EngineOptions(
        model,
        tokenizer,
        chatTemplate,
        loadFormat,
        quantization,
        dtype,
        device,
        threads,
        topology,
        placement,
        maxModelLength,
        maxSequences,
        maxBatchedTokens,
        requests,
        kvCacheBytes,
        gpuMemoryUtilization,
        blockSize,
        prefixCaching,
        seed);
  }

  /** These options on one of several nodes. */
  public EngineOptions on(NodePlace node) {
    return new EngineOptions(
        model,
        tokenizer,
        chatTemplate,
        loadFormat,
        quantization,
        dtype,
        device,
        threads,
        topology,
        placement.on(node),
        maxModelLength,
        maxSequences,
        maxBatchedTokens,
        maxWaiting,
        kvCacheBytes,
        gpuMemoryUtilization,
        blockSize,
        prefixCaching,
        seed);
  }
}
