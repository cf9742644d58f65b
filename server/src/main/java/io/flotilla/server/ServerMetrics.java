package io.flotilla.server;

import io.flotilla.engine.EngineListener;

/** What {@code /metrics} shows. */
public final class ServerMetrics implements EngineListener {
  /**
   * @param prefix what names begin with, up to the colon
   * @param modelName the label {@code model_name}
   */
  public ServerMetrics(String prefix, String modelName) {
    if (prefix.isEmpty() || modelName.isEmpty()) {
      throw new IllegalArgumentException("metrics need a prefix and a model's name");
    }
  }

  @Override
  public void stepApplied(int tokens) {}

  @Override
  public void sequenceEnded(SequenceTimes times) {}
}
