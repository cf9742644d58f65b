package io.flotilla.server;

import java.nio.file.Path;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * How the server is reached; the {@code serve} flags of the same names.
 *
 * @param host the address to listen on, such as {@code 0.0.0.0}
 * @param port the port, or 0 for a free one
 * @param apiKeys any of them opens {@code /v1}; empty leaves it open to all
 * @param servedModelNames what requests may call the model, the first one being what answers call
 *     it; empty for the model's own name
 * @param certificate a PEM file with the certificate and its chain, or null for plain HTTP
 * @param key a PEM file with the certificate's private key (PKCS #8), or null for plain HTTP
 * @param allowedOrigins origins that browsers may call from, {@code *} for any; empty for none
 * @param maxBodyBytes of a request; longer ones are refused
 * @param metricsPrefix what the names of metrics begin with, up to the colon
 */
public record ServerOptions(
    String host,
    int port,
    List<String> apiKeys,
    List<String> servedModelNames,
    @Nullable Path certificate,
    @Nullable Path key,
    List<String> allowedOrigins,
    long maxBodyBytes,
    String metricsPrefix) {
  /** The prefix of metrics unless another is configured. */
  public static final String DEFAULT_METRICS_PREFIX = "flotilla";

  private static final long DEFAULT_MAX_BODY_BYTES = 32L << 20;

  /**
   * @throws IllegalArgumentException naming the flag that is wrong
   */
  public ServerOptions {
    apiKeys = List.copyOf(apiKeys);
    servedModelNames = List.copyOf(servedModelNames);
    allowedOrigins = List.copyOf(allowedOrigins);
    if (port < 0 || port > 65_535) {
      throw new IllegalArgumentException("--port is " + port + "; it must be 0 to 65535");
    }
    if ((certificate == null) != (key == null)) {
      throw new IllegalArgumentException(
          "--ssl-certfile and --ssl-keyfile belong together; give both or neither");
    }
    if (apiKeys.stream().anyMatch(String::isBlank)) {
      throw new IllegalArgumentException("--api-key is blank; give a key or leave it out");
    }
    if (maxBodyBytes < 1) {
      throw new IllegalArgumentException(
          "the limit of a request's body is " + maxBodyBytes + " bytes; it must be at least 1");
    }
  }

  /** Plain HTTP without keys. */
  public static ServerOptions of(String host, int port) {
    return new ServerOptions(
        host,
        port,
        List.of(),
        List.of(),
        null,
        null,
        List.of(),
        DEFAULT_MAX_BODY_BYTES,
        DEFAULT_METRICS_PREFIX);
  }
}
