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
import io.flotilla.executor.wire.SamplingCodec;
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
      case Loading(long bytes, long total) -> out.begin(LOADING).put(bytes).put(total);
      case Ready(int length, EngineStatistics statistics) ->
          put(statistics, out.begin(READY).put(length));
      case Told(TokenEvent event) -> putEvent(event, out);
      case StepApplied(int tokens) -> out.begin(STEP_APPLIED).put(tokens);
      case SequenceEnded(SequenceTimes times) ->
          out.begin(SEQUENCE_ENDED)
              .put(times.queueNanos())
              .put(times.prefillNanos())
              .put(times.decodeNanos());
      case TurnEnded(EngineStatistics statistics) -> put(statistics, out.begin(TURN_ENDED));
      case Failed(String cause) -> out.begin(FAILED).putString(cause);
    }
    out.end();
  }

  private static void putEvent(TokenEvent event, FrameBuffer out) {
    switch (event) {
      case PromptScored(long id, List<TokenLogprobs> tokens) -> {
        out.begin(PROMPT_SCORED).put(id).put(tokens.size());
        tokens.forEach(token -> SamplingCodec.write(token, out));
      }
      case Token(long id, int index, int token, @Nullable TokenLogprobs logprobs) -> {
        out.begin(TOKEN).put(id).put(index).put(token).putByte(logprobs == null ? 0 : 1);
        if (logprobs != null) {
          SamplingCodec.write(logprobs, out);
        }
      }
      case Finished finished ->
          out.begin(FINISHED)
              .put(finished.id())
              .putString(finished.reason().name())
              .put(finished.promptTokens())
              .put(finished.cachedTokens())
              .put(finished.generatedTokens());
      case TokenEvent.Failed(long id, FailureCode code, String message) ->
          out.begin(SEQUENCE_FAILED).put(id).putString(code.name()).putString(message);
    }
  }

  private static void put(EngineStatistics statistics, FrameBuffer out) {
    out.put(statistics.running())
        .put(statistics.waiting())
        .putDouble(statistics.kvUsage())
        .put(statistics.prefixQueries())
        .put(statistics.prefixHits())
        .put(statistics.preemptions())
        .put(statistics.promptTokens())
        .put(statistics.generatedTokens())
        .put(statistics.steps())
        .put(statistics.stages().size());
    for (StageTime stage : statistics.stages()) {
      out.put(stage.busyNanos()).put(stage.bubbleNanos());
    }
    // Of the host's monotonic clock, which its processes share.
    out.put(statistics.heartbeatNanos());
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

  private static TokenEvent event(int type, FrameReader in) {
    long id = in.getLong();
    return switch (type) {
      case PROMPT_SCORED -> {
        int count = in.getCount(LEAST_LOGPROBS);
        List<TokenLogprobs> tokens = new ArrayList<>(count);
        for (int i = 0; i < count; i++) {
          tokens.add(SamplingCodec.readLogprobs(in));
        }
        yield new PromptScored(id, tokens);
      }
      case TOKEN ->
          new Token(
              id,
              in.getInt(),
              in.getInt(),
              in.getByte() == 0 ? null : SamplingCodec.readLogprobs(in));
      case FINISHED ->
          new Finished(
              id, FinishReason.valueOf(in.getString()), in.getInt(), in.getInt(), in.getInt());
      default -> new TokenEvent.Failed(id, FailureCode.valueOf(in.getString()), in.getString());
    };
  }

  private static EngineStatistics statistics(FrameReader in) {
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

  private static List<StageTime> stages(FrameReader in) {
    int count = in.getCount(2 * Long.BYTES);
    List<StageTime> stages = new ArrayList<>(count);
    for (int i = 0; i < count; i++) {
      stages.add(new StageTime(in.getLong(), in.getLong()));
    }
    return stages;
  }
}
