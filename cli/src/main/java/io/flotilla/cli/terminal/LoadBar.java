package io.flotilla.cli.terminal;

import io.flotilla.checkpoint.hub.DownloadProgress;
import io.flotilla.generation.LoadListener;
import org.jspecify.annotations.Nullable;

/** Shows the download of a model, and its loading where that takes over a second. */
public final class LoadBar implements LoadListener, AutoCloseable {
  private static final long PATIENCE_NANOS = 1_000_000_000;

  private final String model;
  private final DownloadBar download = new DownloadBar();
  private @Nullable ProgressLine weights;
  private long firstWeights = -1;

  public LoadBar(String model) {
    this.model = model;
  }

  @Override
  public void onProgress(DownloadProgress progress) {
    download.onProgress(progress);
  }

  @Override
  public synchronized void onWeights(long bytes, long total) {
    long now = System.nanoTime();
    if (firstWeights < 0) {
      firstWeights = now;
      download.close();
    } else if (weights == null && now - firstWeights > PATIENCE_NANOS && bytes < total) {
      weights = ProgressLine.ofBytes("Loading " + model, total);
    }
    if (weights != null) {
      weights.at(bytes);
    }
  }

  @Override
  public synchronized void close() {
    download.close();
    if (weights != null) {
      weights.close();
    }
  }
}
