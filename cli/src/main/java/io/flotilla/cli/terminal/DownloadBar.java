package io.flotilla.cli.terminal;

import io.flotilla.checkpoint.hub.DownloadListener;
import io.flotilla.checkpoint.hub.DownloadProgress;
import org.jspecify.annotations.Nullable;

/** Shows a download, from the moment there is something to fetch. */
public final class DownloadBar implements DownloadListener, AutoCloseable {
  private @Nullable ProgressLine line;

  @Override
  public void onProgress(DownloadProgress progress) {
    if (line == null) {
      line = ProgressLine.ofBytes("Fetching " + progress.model(), progress.total());
    }
    line.at(progress.bytes());
  }

  @Override
  public void close() {
    if (line != null) {
      line.close();
    }
  }
}
