package io.flotilla.generation;

import io.flotilla.engine.EngineCommand.Submit;
import io.flotilla.engine.EngineStatistics;
import io.flotilla.engine.TokenEvent;
import io.flotilla.engine.TokenEvent.Failed;
import io.flotilla.engine.TokenEvent.FailureCode;
import io.flotilla.engine.TokenEvent.FinishReason;
import io.flotilla.engine.TokenEvent.Finished;
import io.flotilla.engine.TokenEvent.Token;
import io.flotilla.fleet.EngineClient;
import io.flotilla.fleet.EngineStatus;
import java.util.ArrayList;
import java.util.List;

/** A replica that says what a test tells it to. */
final class FakeEngine implements EngineClient {
  static final int CACHED = 1;

  private final List<Submit> submits = new ArrayList<>();
  private final List<Long> aborts = new ArrayList<>();
  private int sampled;

  /** The sequence that was submitted last. */
  Submit submitted() {
    return submits.getLast();
  }

  List<Long> aborts() {
    return aborts;
  }

  void sample(int... tokens) {
    for (int token : tokens) {
      tell(new Token(submitted().id(), sampled++, token, null));
    }
  }

  void finish(FinishReason reason) {
    int prompt = submitted().prompt().length;
    tell(new Finished(submitted().id(), reason, prompt, CACHED, sampled));
  }

  void fail(String message) {
    tell(new Failed(submitted().id(), FailureCode.REPLICA_FAILED, message));
  }

  private void tell(TokenEvent event) {
    submitted().sink().accept(event);
  }

  @Override
  public void submit(Submit submit) {
    submits.add(submit);
  }

  @Override
  public void abort(long id) {
    aborts.add(id);
  }

  @Override
  public void drain() {}

  @Override
  public EngineStatus status() {
    return new EngineStatus(
        null, false, new EngineStatistics(0, 0, 0, 0, 0, 0, 0, 0, 0, List.of(), 0), 0);
  }

  @Override
  public void close() {}
}
