package io.flotilla.generation;

import io.flotilla.checkpoint.hub.DownloadListener;
import io.flotilla.checkpoint.hub.DownloadProgress;
import io.flotilla.fleet.remote.WeightsListener;

/** Is told how far the loading of a model is: first the download, if any, then the weights. */
@FunctionalInterface
public interface LoadListener extends DownloadListener {
  /** Hears nothing. */
  LoadListener NONE = progress -> {};

  /**
   * Weights were read or made, on a thread that loads.
   *
   * @param bytes of the tensors that are there
   * @param total bytes of all tensors
   */
  default void onWeights(long bytes, long total) {}

  /** Hears of weights alone. */
  static LoadListener ofWeights(WeightsListener weights) {
    return new LoadListener() {
      @Override
      public void onProgress(DownloadProgress progress) {}

      @Override
      public void onWeights(long bytes, long total) {
        weights.onWeights(bytes, total);
      }
    };
  }
}
