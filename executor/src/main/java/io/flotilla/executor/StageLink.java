package io.flotilla.executor;

import io.flotilla.kernels.Collectives;
import io.flotilla.kernels.Device;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import io.flotilla.kernels.TensorType;
import io.flotilla.model.StageInput.Activations;

/**
 * Takes a step's activations from the stage before and gives them to the next. A stage does not
 * wait for the next one to take them, so that it can go on with the following step.
 */
final class StageLink {
  /** Residual and delta. */
  static final int MESSAGES_PER_STEP = 2;

  private final RankPlace place;
  private final Collectives pipeline;
  private final Tensor residual;
  private final Tensor delta;

  /**
   * @param rows of the largest step
   */
  StageLink(RankPlace place, Device device, int rows, int hiddenSize) {
    int received = place.isFirstStage() ? 0 : rows;
    this.place = place;
    this.pipeline = place.pipeline();
    this.residual = Tensor.allocate(device, TensorType.F32, received, hiddenSize);
    this.delta = Tensor.allocate(device, device.activationType(), received, hiddenSize);
  }

  /** Bytes on the device. */
  long bytes() {
    return residual.buffer().bytes() + delta.buffer().bytes();
  }

  /** Waits for the activations of the step that the stage before computes. */
  Activations receive(Stream stream, int rows) {
    Activations received = new Activations(residual.sliceRows(0, rows), delta.sliceRows(0, rows));
    pipeline.receive(stream, received.residual().buffer(), place.stage() - 1);
    pipeline.receive(stream, received.delta().buffer(), place.stage() - 1);
    return received;
  }

  void send(Stream stream, Activations activations) {
    pipeline.send(stream, activations.residual().memory(), place.stage() + 1);
    pipeline.send(stream, activations.delta().memory(), place.stage() + 1);
  }
}
