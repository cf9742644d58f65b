package io.flotilla.fleet.remote;

import io.flotilla.engine.EngineListener.SequenceTimes;
import io.flotilla.engine.EngineStatistics;
import io.flotilla.engine.EngineStatistics.StageTime;
import io.flotilla.engine.TokenEvent;
import io.flotilla.engine.TokenEvent.FailureCode;
import io.flotilla.engine.TokenEvent.FinishReason;
import io.flotilla.engine.TokenEvent.Finished;
import io.flotilla.engine.TokenEvent.PromptScored;
import io.flotilla.engine.TokenEvent.Token;
import io.flotilla.fleet.remote.Report.Failed;
import io.flotilla.fleet.remote.Report.Loading;
import io.flotilla.fleet.remote.Report.Ready;
import io.flotilla.fleet.remote.Report.SequenceEnded;
import io.flotilla.fleet.remote.Report.StepApplied;
import io.flotilla.fleet.remote.Report.Told;
import io.flotilla.fleet.remote.Report.TurnEnded;
import io.flotilla.model.sampling.TokenLogprobs;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** What a replica says, as frames. */
final class ReportCodec {
  private static final int LOADING = 1;
  private static final int READY = 2;
  private static final int PROMPT_SCORED = 3;
  private static final int TOKEN = 4;
  private static final int FINISHED = 5;
  private static final int SEQUENCE_FAILED = 6;
  private static final int STEP_APPLIED = 7;
  private static final int SEQUENCE_ENDED = 8;
  private static final int TURN_ENDED = 9;
  private static final int FAILED = 10;

  private static final int LEAST_LOGPROBS = 5 * Integer.BYTES;

  private ReportCodec() {}

  static void write(Report report, FrameBuffer out) {
    switch (report) {
      case Loading(long bytes, long total) -> out.begin(LOADING).putLong(bytes).putLong(total);
      case Ready(int length, EngineStatistics statistics) ->
          put(statistics, out.begin(READY).putInt(length));
      case Told(TokenEvent event) -> putEvent(event, out);
      case StepApplied(int tokens) -> out.begin(STEP_APPLIED).putInt(tokens);
      case SequenceEnded(SequenceTimes times) ->
          out.begin(SEQUENCE_ENDED)
              .putLong(times.queueNanos())
              .putLong(times.prefillNanos())
              .putLong(times.decodeNanos());
      case TurnEnded(EngineStatistics statistics) -> put(statistics, out.begin(TURN_ENDED));
      case Failed(String cause) -> out.begin(FAILED).putString(cause);
    }
    out.end();
  }

  private static void putEvent(TokenEvent event, FrameBuffer out) {
    switch (event) {
      case PromptScored(long id, List<TokenLogprobs> tokens) -> {
        out.begin(PROMPT_SCORED).putLong(id).putInt(tokens.size());
        tokens.forEach(token -> put(token, out));
      }
      case Token(long id, int index, int token, @Nullable TokenLogprobs logprobs) -> {
        out.begin(TOKEN).putLong(id).putInt(index).putInt(token).putByte(logprobs == null ? 0 : 1);
        if (logprobs != null) {
          put(logprobs, out);
        }
      }
      case Finished finished ->
          out.begin(FINISHED)
              .putLong(finished.id())
              .putString(finished.reason().name())
              .putInt(finished.promptTokens())
              .putInt(finished.cachedTokens())
              .putInt(finished.generatedTokens());
      case TokenEvent.Failed(long id, FailureCode code, String message) ->
          out.begin(SEQUENCE_FAILED).putLong(id).putString(code.name()).putString(message);
    }
  }

  private static void put(TokenLogprobs logprobs, FrameBuffer out) {
    out.putInt(logprobs.token())
        .putFloat(logprobs.logprob())
        .putInt(logprobs.rank())
        .putInts(logprobs.topTokens())
        .putFloats(logprobs.topLogprobs());
  }

  private static void put(EngineStatistics statistics, FrameBuffer out) {
    out.putInt(statistics.running())
        .putInt(statistics.waiting())
        .putDouble(statistics.kvUsage())
        .putLong(statistics.prefixQueries())
        .putLong(statistics.prefixHits())
        .putLong(statistics.preemptions())
        .putLong(statistics.promptTokens())
        .putLong(statistics.generatedTokens())
        .putLong(statistics.steps())
        .putInt(statistics.stages().size());
    for (StageTime stage : statistics.stages()) {
      out.putLong(stage.busyNanos()).putLong(stage.bubbleNanos());
    }
    // Of the host's monotonic clock, which its processes share.
    out.putLong(statistics.heartbeatNanos());
  }

  static Report read(int type, FrameReader in) throws ProtocolException {
    return switch (type) {
      case LOADING -> new Loading(in.getLong(), in.getLong());
      case READY -> new Ready(in.getInt(), statistics(in));
      case PROMPT_SCORED, TOKEN, FINISHED, SEQUENCE_FAILED -> new Told(event(type, in));
      case STEP_APPLIED -> new StepApplied(in.getInt());
      case SEQUENCE_ENDED ->
          new SequenceEnded(new SequenceTimes(in.getLong(), in.getLong(), in.getLong()));
      case TURN_ENDED -> new TurnEnded(statistics(in));
      case FAILED -> new Failed(in.getString());
      default -> throw new ProtocolException("an unknown report " + type);
    };
  }

  private static TokenEvent event(int type, FrameReader in) throws ProtocolException {
    long id = in.getLong();
    return switch (type) {
      case PROMPT_SCORED -> {
        int count = in.count(LEAST_LOGPROBS);
        List<TokenLogprobs> tokens = new ArrayList<>(count);
        for (int i = 0; i < count; i++) {
          tokens.add(logprobs(in));
        }
        yield new PromptScored(id, tokens);
      }
      case TOKEN ->
          new Token(id, in.getInt(), in.getInt(), in.getByte() == 0 ? null : logprobs(in));
      case FINISHED ->
          new Finished(
              id, FinishReason.valueOf(in.getString()), in.getInt(), in.getInt(), in.getInt());
      default -> new TokenEvent.Failed(id, FailureCode.valueOf(in.getString()), in.getString());
    };
  }

  private static TokenLogprobs logprobs(FrameReader in) throws ProtocolException {
    return new TokenLogprobs(in.getInt(), in.getFloat(), in.getInt(), in.getInts(), in.getFloats());
  }

  private static EngineStatistics statistics(FrameReader in) throws ProtocolException {
    return new EngineStatistics(
        in.getInt(),
        in.getInt(),
        in.getDouble(),
        in.getLong(),
        in.getLong(),
        in.getLong(),
        in.getLong(),
        in.getLong(),
        in.getLong(),
        stages(in),
        in.getLong());
  }

  private static List<StageTime> stages(FrameReader in) throws ProtocolException {
    int count = in.count(2 * Long.BYTES);
    List<StageTime> stages = new ArrayList<>(count);
    for (int i = 0; i < count; i++) {
      stages.add(new StageTime(in.getLong(), in.getLong()));
    }
    return stages;
  }
}
