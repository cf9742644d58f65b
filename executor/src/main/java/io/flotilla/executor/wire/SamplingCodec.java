package io.flotilla.executor.wire;

import io.flotilla.model.sampling.SamplingParameters;
import io.flotilla.model.sampling.TokenLogprobs;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * How tokens are chosen, and what else is told of them, field by field in the order of the records.
 * Between nodes and between a server and its replica alike: a change of a record is a new version
 * of both protocols.
 */
public final class SamplingCodec {
  private SamplingCodec() {}

  public static void write(SamplingParameters sampling, FieldWriter to) {
    to.put(sampling.temperature())
        .put(sampling.topK())
        .put(sampling.topP())
        .put(sampling.minP())
        .put(sampling.repetitionPenalty())
        .put(sampling.presencePenalty())
        .put(sampling.frequencyPenalty())
        .put(sampling.logitBias().size());
    sampling.logitBias().forEach((token, bias) -> to.put((int) token).put((float) bias));
    to.put(sampling.seed())
        .put(sampling.choice())
        .put(sampling.minTokens())
        .put(sampling.stopTokens().stream().mapToInt(Integer::intValue).toArray())
        .put(sampling.logprobs())
        .put(sampling.promptLogprobs());
  }

  public static SamplingParameters readSampling(FieldReader from) {
    return new SamplingParameters(
        from.getFloat(),
        from.getInt(),
        from.getFloat(),
        from.getFloat(),
        from.getFloat(),
        from.getFloat(),
        from.getFloat(),
        readLogitBias(from),
        from.getLong(),
        from.getInt(),
        from.getInt(),
        boxed(from.getInts()),
        from.getInt(),
        from.getInt());
  }

  private static Map<Integer, Float> readLogitBias(FieldReader from) {
    int count = from.getCount(Integer.BYTES + Float.BYTES);
    Map<Integer, Float> biases = HashMap.newHashMap(count);
    for (int i = 0; i < count; i++) {
      biases.put(from.getInt(), from.getFloat());
    }
    return biases;
  }

  private static List<Integer> boxed(int[] values) {
    List<Integer> boxed = new ArrayList<>(values.length);
    for (int value : values) {
      boxed.add(value);
    }
    return boxed;
  }

  public static void write(TokenLogprobs token, FieldWriter to) {
    to.put(token.token())
        .put(token.logprob())
        .put(token.rank())
        .put(token.topTokens())
        .put(token.topLogprobs());
  }

  public static TokenLogprobs readLogprobs(FieldReader from) {
    return new TokenLogprobs(
        from.getInt(), from.getFloat(), from.getInt(), from.getInts(), from.getFloats());
  }
}
