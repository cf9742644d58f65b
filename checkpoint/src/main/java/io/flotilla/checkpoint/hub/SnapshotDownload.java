package io.flotilla.checkpoint.hub;

import io.flotilla.checkpoint.CheckpointException;
import java.io.IOException;
import java.net.URI;
import java.net.URLEncoder;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/** Fetches the needed files of one commit into the cache, one after another. */
final class SnapshotDownload {
  private static final Duration LOCK_POLL = Duration.ofMillis(100);
  private static final long REPORT_NANOS = 100_000_000;

  private final HubHttp http;
  private final HubSettings settings;
  private final HubCache cache;
  private final Repository repository;
  private final DownloadListener listener;
  private final Duration retryPause;
  private long total;
  private long done;
  private long lastReport;

  SnapshotDownload(
      HubHttp http,
      HubSettings settings,
      Repository repository,
      DownloadListener listener,
      Duration retryPause) {
    this.http = http;
    this.settings = settings;
    this.cache = new HubCache(settings.cache());
    this.repository = repository;
    this.listener = listener;
    this.retryPause = retryPause;
  }

  /** Fetches, and gives the snapshot's folder, or the GGUF file that was asked for. */
  Path run(List<RemoteFile> needed) {
    ModelReference reference = repository.reference();
    total = needed.stream().mapToLong(RemoteFile::bytes).sum();
    Path snapshot = cache.snapshot(reference.id(), repository.commit());
    try {
      requireSpace(needed);
      for (RemoteFile file : needed) {
        fetch(file);
        cache.link(reference.id(), repository.commit(), file);
        done += file.bytes();
        report(file, file.bytes(), done);
      }
      cache.writeReference(reference, repository.commit());
    } catch (IOException e) {
      throw new CheckpointException(
          "the cache "
              + settings.cache()
              + " cannot be written: "
              + e
              + "; free space or permissions, or set HF_HOME to another folder",
          e);
    }
    return reference.file() == null ? snapshot : snapshot.resolve(reference.file());
  }

  private void requireSpace(List<RemoteFile> needed) throws IOException {
    Files.createDirectories(settings.cache());
    long missing = 0;
    for (RemoteFile file : needed) {
      missing += file.bytes() - present(file);
    }
    long free = Files.getFileStore(settings.cache()).getUsableSpace();
    if (missing > free) {
      throw new CheckpointException(
          "%s needs %,d more bytes, but %s has %,d free; free some, or set HF_HOME to another disk"
              .formatted(repository.reference(), missing, settings.cache(), free));
    }
  }

  private long present(RemoteFile file) throws IOException {
    Path blob = cache.blob(repository.reference().id(), file);
    Path incomplete = blob.resolveSibling(file.hash() + ".incomplete");
    Path found = Files.exists(blob) ? blob : Files.exists(incomplete) ? incomplete : null;
    return found == null ? 0 : Math.min(file.bytes(), Files.size(found));
  }

  private void fetch(RemoteFile file) throws IOException {
    String id = repository.reference().id();
    Path blob = cache.blob(id, file);
    Path lock = cache.lock(id, file);
    Files.createDirectories(blob.getParent());
    Files.createDirectories(lock.getParent());
    try (FileChannel channel =
            FileChannel.open(lock, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
        FileLock held = lock(channel)) {
      if (Files.exists(blob) && Files.size(blob) != file.bytes()) {
        Files.delete(blob);
      }
      if (held.isValid() && !Files.exists(blob)) {
        new BlobDownload(http, repository.reference(), address(file), file, blob, retryPause)
            .run(present -> report(file, present, done + present));
      }
    }
  }

  /** Waits for whoever fetches the same blob, in this process or another. */
  private static FileLock lock(FileChannel channel) throws IOException {
    while (true) {
      FileLock lock = tryLock(channel);
      if (lock != null) {
        return lock;
      }
      try {
        Thread.sleep(LOCK_POLL);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw HubHttp.cancelled(e);
      }
    }
  }

  private static @Nullable FileLock tryLock(FileChannel channel) throws IOException {
    try {
      return channel.tryLock();
    } catch (OverlappingFileLockException e) {
      return null; // Held by another thread of this process.
    }
  }

  private URI address(RemoteFile file) {
    String path =
        Arrays.stream(file.name().split("/"))
            .map(part -> URLEncoder.encode(part, StandardCharsets.UTF_8).replace("+", "%20"))
            .collect(Collectors.joining("/"));
    return URI.create(
        "%s/%s/resolve/%s/%s"
            .formatted(
                settings.endpoint(), repository.reference().id(), repository.commit(), path));
  }

  private void report(RemoteFile file, long present, long all) {
    long now = System.nanoTime();
    if (present == file.bytes() || now - lastReport > REPORT_NANOS) {
      lastReport = now;
      listener.onProgress(
          new DownloadProgress(
              repository.reference().toString(), file.name(), present, file.bytes(), all, total));
    }
  }
}
