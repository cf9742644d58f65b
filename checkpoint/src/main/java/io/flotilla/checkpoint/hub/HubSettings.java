package io.flotilla.checkpoint.hub;

import io.flotilla.checkpoint.CheckpointException;
import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Where the hub is, where its cache lies, and who asks.
 *
 * @param endpoint without a slash at its end ({@code HF_ENDPOINT})
 * @param cache the folder of {@code models--ORG--NAME} ({@code HF_HUB_CACHE})
 * @param token sent to the endpoint's host alone, or null ({@code HF_TOKEN})
 * @param offline only the cache is looked at ({@code HF_HUB_OFFLINE})
 */
public record HubSettings(URI endpoint, Path cache, @Nullable String token, boolean offline) {
  private static final Set<String> TRUE = Set.of("1", "ON", "YES", "TRUE");

  /** The token is kept out of logs. */
  @Override
  public String toString() {
    return "HubSettings[endpoint=%s, cache=%s, token=%s, offline=%s]"
        .formatted(endpoint, cache, token == null ? "none" : "set", offline);
  }

  /**
   * The settings that {@code huggingface_hub} would read from the same environment: {@code
   * HF_HOME}, {@code HF_HUB_CACHE}, {@code HF_TOKEN}, {@code HF_TOKEN_PATH}, {@code HF_ENDPOINT},
   * {@code HF_HUB_OFFLINE}, {@code XDG_CACHE_HOME}.
   *
   * @param home the user's home folder
   * @throws CheckpointException when {@code HF_ENDPOINT} is no http address
   */
  public static HubSettings of(Map<String, String> environment, Path home) {
    Path caches = path(environment, "XDG_CACHE_HOME", home, home.resolve(".cache"));
    Path hub = path(environment, "HF_HOME", home, caches.resolve("huggingface"));
    Path cache = path(environment, "HF_HUB_CACHE", home, hub.resolve("hub"));
    Path tokenFile = path(environment, "HF_TOKEN_PATH", home, hub.resolve("token"));
    return new HubSettings(
        endpoint(environment.getOrDefault("HF_ENDPOINT", "")),
        cache,
        token(environment.getOrDefault("HF_TOKEN", "").strip(), tokenFile),
        isTrue(environment.get("HF_HUB_OFFLINE"))
            || isTrue(environment.get("TRANSFORMERS_OFFLINE")));
  }

  /** The settings of this process's environment and user. */
  public static HubSettings ofEnvironment() {
    return of(System.getenv(), Path.of(System.getProperty("user.home")));
  }

  private static URI endpoint(String value) {
    String text = value.isBlank() ? "https://huggingface.co" : value.strip();
    while (text.endsWith("/")) {
      text = text.substring(0, text.length() - 1);
    }
    try {
      URI endpoint = URI.create(text);
      if (endpoint.getHost() != null
          && ("https".equals(endpoint.getScheme()) || "http".equals(endpoint.getScheme()))) {
        return endpoint;
      }
    } catch (IllegalArgumentException e) {
      throw new CheckpointException("HF_ENDPOINT is " + text + ", not an address", e);
    }
    throw new CheckpointException("HF_ENDPOINT is " + text + ", not an http or https address");
  }

  private static Path path(
      Map<String, String> environment, String variable, Path home, Path absent) {
    String value = environment.getOrDefault(variable, "");
    if (value.isBlank()) {
      return absent;
    }
    return value.equals("~") || value.startsWith("~/")
        ? home.resolve(value.substring(Math.min(2, value.length())))
        : Path.of(value);
  }

  private static @Nullable String token(String named, Path file) {
    if (!named.isEmpty()) {
      return named;
    }
    if (!Files.isRegularFile(file)) {
      return null;
    }
    try {
      String token = Files.readString(file).strip();
      return token.isEmpty() ? null : token;
    } catch (IOException e) {
      throw new CheckpointException("the token file " + file + " cannot be read: " + e, e);
    }
  }

  private static boolean isTrue(@Nullable String value) {
    return value != null && TRUE.contains(value.strip().toUpperCase(Locale.ROOT));
  }
}
