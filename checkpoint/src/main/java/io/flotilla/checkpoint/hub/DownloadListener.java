package io.flotilla.checkpoint.hub;

/** Is told how a download goes, on the thread that asked for it, a few times a second. */
@FunctionalInterface
public interface DownloadListener {
  /** Hears nothing. */
  DownloadListener NONE = progress -> {};

  void onProgress(DownloadProgress progress);
}
