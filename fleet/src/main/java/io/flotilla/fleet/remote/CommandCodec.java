package io.flotilla.fleet.remote;

import io.flotilla.engine.EngineCommand;
import io.flotilla.engine.EngineCommand.Abort;
import io.flotilla.engine.EngineCommand.Drain;
import io.flotilla.engine.EngineCommand.Submit;
import io.flotilla.engine.TokenSink;
import io.flotilla.model.sampling.SamplingParameters;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** What a replica is told, as frames. Sinks stay where they are: events name their sequence. */
final class CommandCodec {
  private static final int SUBMIT = 1;
  private static final int ABORT = 2;
  private static final int DRAIN = 3;

  private CommandCodec() {}

  static void write(EngineCommand command, FrameBuffer out) {
    switch (command) {
      case Submit submit -> writeSubmit(submit, out);
      case Abort(long id) -> out.begin(ABORT).putLong(id).end();
      case Drain() -> out.begin(DRAIN).end();
    }
  }

  private static void writeSubmit(Submit submit, FrameBuffer out) {
    out.begin(SUBMIT)
        .putLong(submit.id())
        .putInts(submit.prompt())
        .putInts(submit.generated())
        .putInt(submit.maxTokens())
        .putString(submit.cacheSalt());
    writeSampling(submit.sampling(), out);
    out.end();
  }

  private static void writeSampling(SamplingParameters sampling, FrameBuffer out) {
    out.putFloat(sampling.temperature())
        .putInt(sampling.topK())
        .putFloat(sampling.topP())
        .putFloat(sampling.minP())
        .putFloat(sampling.repetitionPenalty())
        .putFloat(sampling.presencePenalty())
        .putFloat(sampling.frequencyPenalty())
        .putInt(sampling.logitBias().size());
    sampling.logitBias().forEach((token, bias) -> out.putInt(token).putFloat(bias));
    out.putLong(sampling.seed())
        .putInt(sampling.choice())
        .putInt(sampling.minTokens())
        .putInts(sampling.stopTokens().stream().mapToInt(Integer::intValue).toArray())
        .putInt(sampling.logprobs())
        .putInt(sampling.promptLogprobs());
  }

  /**
   * @param sink of every sequence
   */
  static EngineCommand read(int type, FrameReader in, TokenSink sink) throws ProtocolException {
    return switch (type) {
      case SUBMIT -> readSubmit(in, sink);
      case ABORT -> new Abort(in.getLong());
      case DRAIN -> new Drain();
      default -> throw new ProtocolException("an unknown command " + type);
    };
  }

  private static Submit readSubmit(FrameReader in, TokenSink sink) throws ProtocolException {
    long id = in.getLong();
    int[] prompt = in.getInts();
    int[] generated = in.getInts();
    int maxTokens = in.getInt();
    String cacheSalt = in.getString();
    return new Submit(id, prompt, generated, readSampling(in), maxTokens, cacheSalt, sink);
  }

  private static SamplingParameters readSampling(FrameReader in) throws ProtocolException {
    return new SamplingParameters(
        in.getFloat(),
        in.getInt(),
        in.getFloat(),
        in.getFloat(),
        in.getFloat(),
        in.getFloat(),
        in.getFloat(),
        readBias(in),
        in.getLong(),
        in.getInt(),
        in.getInt(),
        boxed(in.getInts()),
        in.getInt(),
        in.getInt());
  }

  private static Map<Integer, Float> readBias(FrameReader in) throws ProtocolException {
    int count = in.count(Integer.BYTES + Float.BYTES);
    Map<Integer, Float> bias = HashMap.newHashMap(count);
    for (int i = 0; i < count; i++) {
      bias.put(in.getInt(), in.getFloat());
    }
    return bias;
  }

  private static List<Integer> boxed(int[] values) {
    List<Integer> boxed = new ArrayList<>(values.length);
    for (int value : values) {
      boxed.add(value);
    }
    return boxed;
  }
}
