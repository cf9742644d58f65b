package io.flotilla.checkpoint.hub;

import io.flotilla.checkpoint.CheckpointException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.URI;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.HexFormat;
import java.util.function.LongConsumer;

/**
 * Fetches one file into its blob. What is there already is kept and continued by a range request;
 * the blob gets its name only when its hash is right.
 */
final class BlobDownload {
  private static final int MAX_FAILURES = 5;
  private static final int BUFFER = 1 << 18;
  private static final Duration STALL = Duration.ofSeconds(60);

  private final HubHttp http;
  private final ModelReference reference;
  private final URI address;
  private final RemoteFile file;
  private final Path blob;
  private final Path incomplete;
  private final Duration pause;

  /**
   * @param pause before the first retry; doubled each time
   */
  BlobDownload(
      HubHttp http,
      ModelReference reference,
      URI address,
      RemoteFile file,
      Path blob,
      Duration pause) {
    this.http = http;
    this.reference = reference;
    this.address = address;
    this.file = file;
    this.blob = blob;
    this.incomplete = blob.resolveSibling(file.hash() + ".incomplete");
    this.pause = pause;
  }

  /**
   * Fetches what is missing.
   *
   * @param progress hears the bytes of the file that are there
   */
  void run(LongConsumer progress) throws IOException {
    int failures = 0;
    while (true) {
      long before = present();
      try {
        fetch(progress);
        return;
      } catch (NetworkException e) {
        failures = present() > before ? 1 : failures + 1;
        if (failures == MAX_FAILURES) {
          throw new CheckpointException(
              file.name()
                  + " of "
                  + reference
                  + " could not be fetched: "
                  + e.getMessage()
                  + "; run it again to continue at byte "
                  + present(),
              e);
        }
        sleep(pause.multipliedBy(1L << (failures - 1)));
      }
    }
  }

  /** A failure of the network: the disk's are of another kind, and are not tried again. */
  private static final class NetworkException extends Exception {
    private static final long serialVersionUID = 1L;

    NetworkException(String message, IOException cause) {
      super(message, cause);
    }

    NetworkException(String message) {
      super(message);
    }
  }

  private long present() throws IOException {
    return Files.exists(incomplete) ? Files.size(incomplete) : 0;
  }

  private void fetch(LongConsumer progress) throws IOException, NetworkException {
    if (present() > file.bytes()) {
      Files.delete(incomplete);
    }
    if (!Files.exists(incomplete)) {
      Files.createFile(incomplete);
    }
    MessageDigest digest = file.newDigest();
    long present = digestPresent(digest);
    if (present < file.bytes()) {
      digest = fetchRest(digest, present, progress);
    }
    String hash = HexFormat.of().formatHex(digest.digest());
    if (!hash.equals(file.hash())) {
      Files.delete(incomplete);
      throw new CheckpointException(
          file.name()
              + " of "
              + reference
              + " arrived damaged: its hash is "
              + hash
              + " instead of "
              + file.hash()
              + "; it was deleted, run it again to fetch it anew");
    }
    Files.move(incomplete, blob, StandardCopyOption.ATOMIC_MOVE);
  }

  private long digestPresent(MessageDigest digest) throws IOException {
    long present = 0;
    try (InputStream stream = Files.newInputStream(incomplete)) {
      byte[] buffer = new byte[BUFFER];
      for (int read = stream.read(buffer); read >= 0; read = stream.read(buffer)) {
        digest.update(buffer, 0, read);
        present += read;
      }
    }
    return present;
  }

  /** Returns the digest of the whole file: a new one when the server starts from the beginning. */
  private MessageDigest fetchRest(MessageDigest present, long from, LongConsumer progress)
      throws IOException, NetworkException {
    HttpResponse<InputStream> response = request(from);
    try (InputStream body = response.body()) {
      boolean continues = response.statusCode() == 206 && startsAt(response, from);
      if (response.statusCode() != 200 && !continues) {
        Files.deleteIfExists(incomplete);
        throw new NetworkException("the server does not continue at byte " + from);
      }
      MessageDigest digest = continues ? present : file.newDigest();
      long start = continues ? from : 0;
      try (OutputStream out =
          Files.newOutputStream(
              incomplete,
              StandardOpenOption.CREATE,
              continues ? StandardOpenOption.APPEND : StandardOpenOption.TRUNCATE_EXISTING)) {
        copy(body, out, digest, start, progress);
      }
      return digest;
    }
  }

  private HttpResponse<InputStream> request(long from) throws NetworkException {
    try {
      return http.get(reference, address, from);
    } catch (IOException e) {
      throw new NetworkException(e.toString(), e);
    }
  }

  private static boolean startsAt(HttpResponse<?> response, long from) {
    String range = response.headers().firstValue("Content-Range").orElse("");
    return range.startsWith("bytes " + from + "-");
  }

  private void copy(
      InputStream body, OutputStream out, MessageDigest digest, long start, LongConsumer progress)
      throws IOException, NetworkException {
    byte[] buffer = new byte[BUFFER];
    long present = start;
    try (StallGuard guard = new StallGuard(body, STALL)) {
      while (present < file.bytes()) {
        int wanted = (int) Math.min(buffer.length, file.bytes() - present);
        int read = read(body, buffer, wanted);
        guard.progress();
        out.write(buffer, 0, read);
        digest.update(buffer, 0, read);
        present += read;
        progress.accept(present);
      }
    }
  }

  private static int read(InputStream body, byte[] buffer, int wanted) throws NetworkException {
    int read;
    try {
      read = body.read(buffer, 0, wanted);
    } catch (IOException e) {
      if (Thread.currentThread().isInterrupted()) {
        throw HubHttp.cancelled(e);
      }
      throw new NetworkException(e.toString(), e);
    }
    if (Thread.currentThread().isInterrupted()) {
      throw HubHttp.cancelled(new InterruptedException());
    }
    if (read < 0) {
      throw new NetworkException("the connection ended early");
    }
    return read;
  }

  private static void sleep(Duration duration) {
    try {
      Thread.sleep(duration);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw HubHttp.cancelled(e);
    }
  }
}
