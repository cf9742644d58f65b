package io.flotilla.checkpoint.hub;

import io.flotilla.checkpoint.CheckpointException;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.json.JsonMapper;

/** Finds models: on disk, in the hub's cache, or on the hub. */
public final class Hub {
  private static final Logger LOG = LoggerFactory.getLogger(Hub.class);
  private static final int MAX_ANSWER = 32 << 20;

  private final HubSettings settings;
  private final HubCache cache;
  private final Duration retryPause;

  public Hub(HubSettings settings) {
    this(settings, Duration.ofSeconds(1));
  }

  Hub(HubSettings settings, Duration retryPause) {
    this.settings = settings;
    this.cache = new HubCache(settings.cache());
    this.retryPause = retryPause;
  }

  /**
   * The folder or GGUF file of a model, downloaded if it must be. Interrupting the thread cancels a
   * download; what has arrived stays in the cache, and the next call continues there.
   *
   * @param model a folder, a {@code .gguf} file, or {@code ORG/NAME}, {@code ORG/NAME@REVISION},
   *     {@code ORG/NAME/FILE.gguf} on the hub
   * @throws CheckpointException when the model cannot be had, saying what to do
   * @throws CancellationException when the thread is interrupted
   */
  public Path resolve(String model, DownloadListener listener) {
    return resolve(model, true, listener);
  }

  /**
   * As {@link #resolve}, but of a model on the hub only configuration and tokenizer: what dummy
   * weights take, or another model's tokenizer.
   */
  public Path resolveWithoutWeights(String model, DownloadListener listener) {
    return resolve(model, false, listener);
  }

  private Path resolve(String model, boolean weights, DownloadListener listener) {
    Path local = local(model);
    if (local != null) {
      return local;
    }
    ModelReference reference = ModelReference.parse(model);
    Path cached = cached(reference, weights);
    if (settings.offline()) {
      if (cached != null) {
        return cached;
      }
      throw new CheckpointException(
          model
              + " is not complete in the cache "
              + settings.cache()
              + ", and HF_HUB_OFFLINE is set: unset it, or fetch the model on a machine with a"
              + " network");
    }
    return cached != null && reference.isCommit()
        ? cached
        : fetch(reference, weights, cached, listener);
  }

  private static @Nullable Path local(String model) {
    try {
      Path path = Path.of(model);
      return !model.isBlank() && Files.exists(path) ? path : null;
    } catch (InvalidPathException e) {
      return null; // No path; the hub's names are tried next.
    }
  }

  /** The models in the cache, by name. */
  public List<CachedModel> cached() {
    return cache.list();
  }

  /** What the cache has of a model, or null where something is missing. */
  private @Nullable Path cached(ModelReference reference, boolean weights) {
    Path snapshot = cache.snapshot(reference);
    if (snapshot == null) {
      return null;
    }
    if (reference.file() != null) {
      Path file = snapshot.resolve(reference.file());
      return Files.exists(file) ? file : null;
    }
    // The largest files come last: where they are, the others are.
    boolean complete =
        weights
            ? Files.exists(snapshot.resolve("config.json")) && hasWeights(snapshot)
            : Stream.of("tokenizer.json", "tokenizer.model")
                .anyMatch(name -> Files.exists(snapshot.resolve(name)));
    return complete ? snapshot : null;
  }

  private static boolean hasWeights(Path snapshot) {
    Path index = snapshot.resolve("model.safetensors.index.json");
    try (Stream<Path> files = Files.list(snapshot)) {
      if (Files.exists(index)) {
        return JsonMapper.shared()
            .readTree(Files.readAllBytes(index))
            .path("weight_map")
            .valueStream()
            .map(shard -> snapshot.resolve(shard.asString("")))
            .distinct()
            .allMatch(Files::isRegularFile);
      }
      return files.anyMatch(file -> file.toString().endsWith(".safetensors") && Files.exists(file));
    } catch (IOException | JacksonException e) {
      throw new CheckpointException(index + " cannot be read: " + e, e);
    }
  }

  private Path fetch(
      ModelReference reference, boolean weights, @Nullable Path cached, DownloadListener listener) {
    try (HubHttp http = new HubHttp(settings)) {
      Repository repository;
      try {
        repository = describe(http, reference);
      } catch (IOException e) {
        if (cached == null) {
          throw new CheckpointException(
              settings.endpoint() + " cannot be reached: " + e + "; check the network", e);
        }
        LOG.warn(
            "{} cannot be reached ({}): using {} from the cache", settings.endpoint(), e, cached);
        return cached;
      }
      return new SnapshotDownload(http, settings, repository, listener, retryPause)
          .run(repository.needed(weights));
    }
  }

  private Repository describe(HubHttp http, ModelReference reference) throws IOException {
    URI address =
        URI.create(
            "%s/api/models/%s/revision/%s?blobs=true"
                .formatted(
                    settings.endpoint(), reference.id(), reference.revision().replace("/", "%2F")));
    try (InputStream body = http.get(reference, address, 0).body()) {
      byte[] answer = body.readNBytes(MAX_ANSWER);
      return Repository.of(reference, JsonMapper.shared().readTree(answer));
    } catch (JacksonException e) {
      throw new CheckpointException(address + " does not answer in JSON; check HF_ENDPOINT", e);
    }
  }
}
