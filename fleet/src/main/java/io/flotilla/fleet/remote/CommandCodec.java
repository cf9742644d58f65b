package io.flotilla.fleet.remote;

import io.flotilla.engine.EngineCommand;
import io.flotilla.engine.EngineCommand.Abort;
import io.flotilla.engine.EngineCommand.Drain;
import io.flotilla.engine.EngineCommand.Submit;
import io.flotilla.engine.TokenSink;
import io.flotilla.executor.wire.SamplingCodec;

/** What a replica is told, as frames. Sinks stay where they are: events name their sequence. */
final class CommandCodec {
  private static final int SUBMIT = 1;
  private static final int ABORT = 2;
  private static final int DRAIN = 3;

  private CommandCodec() {}

  static void write(EngineCommand command, FrameBuffer out) {
    switch (command) {
      case Submit submit -> writeSubmit(submit, out);
      case Abort(long id) -> out.begin(ABORT).put(id).end();
      case Drain() -> out.begin(DRAIN).end();
    }
  }

  private static void writeSubmit(Submit submit, FrameBuffer out) {
    out.begin(SUBMIT)
        .put(submit.id())
        .put(submit.prompt())
        .put(submit.generated())
        .put(submit.maxTokens())
        .putString(submit.cacheSalt());
    SamplingCodec.write(submit.sampling(), out);
    out.end();
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

  private static Submit readSubmit(FrameReader in, TokenSink sink) {
    long id = in.getLong();
    int[] prompt = in.getInts();
    int[] generated = in.getInts();
    int maxTokens = in.getInt();
    String cacheSalt = in.getString();
    return new Submit(
        id, prompt, generated, SamplingCodec.readSampling(in), maxTokens, cacheSalt, sink);
  }
}
