package io.flotilla.generation;

import io.flotilla.checkpoint.Checkpoint;
import io.flotilla.executor.Topology;
import io.flotilla.executor.wire.Hello;
import io.flotilla.executor.wire.NodePlace;
import io.flotilla.kernels.Device;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.SequencedMap;

/** What must be the same on all nodes of a replica. */
record NodeIdentity(EngineOptions options, ModelSource source) {
  private static final int DIGEST_BYTES = 8;

  Hello hello(Device device) {
    NodePlace place = options.placement().node();
    Topology topology = options.topology();
    SequencedMap<String, String> fields = new LinkedHashMap<>();
    fields.put("the version of Flotilla", Version.current());
    fields.put(
        "the model", source.config().architecture() + " " + digest(source.config().toString()));
    fields.put("its weights", weights());
    fields.put("the type of activations", device.activationType().name());
    fields.put("--nnodes", "" + place.nodes());
    fields.put("--pipeline-parallel-size", "" + topology.pipeline());
    fields.put("--tensor-parallel-size", "" + topology.tensor());
    fields.put("--prefill-context-parallel-size", "" + topology.prefillContext());
    fields.put("--decode-context-parallel-size", "" + topology.decodeContext());
    fields.put("--enable-expert-parallel", topology.expertParallel() ? "on" : "off");
    fields.put("--pipeline-layers", layers());
    fields.put("--max-num-seqs", "" + options.maxSequences());
    fields.put("--max-num-batched-tokens", "" + options.maxBatchedTokens());
    fields.put("--block-size", "" + options.blockSize());
    return Hello.of(place, fields);
  }

  private String layers() {
    return options.placement().pipelineLayers().isEmpty()
        ? "balanced"
        : options.placement().pipelineLayers().toString();
  }

  /** What is known of them without reading them. */
  private String weights() {
    Checkpoint stored = source.checkpoint();
    return stored == null
        ? "dummy %s of --seed %d"
            .formatted(ModelSource.dummyType(options.quantization()), options.seed())
        : digest(stored.index());
  }

  /** The start of a digest, which is as much as a message should have of it. */
  private static String digest(String text) {
    try {
      byte[] digest =
          MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8));
      return HexFormat.of().formatHex(digest, 0, DIGEST_BYTES);
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException(e);
    }
  }
}
