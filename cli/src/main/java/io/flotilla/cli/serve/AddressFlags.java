package io.flotilla.cli.serve;

import io.flotilla.cli.option.ByteSize;
import io.flotilla.cli.option.UsageException;
import io.flotilla.server.ServerOptions;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.UnknownHostException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** Where a server listens, and whom it lets in. Names are vLLM's where it has one. */
final class AddressFlags {
  private static final List<String> KEY_VARIABLES = List.of("FLOTILLA_API_KEY", "VLLM_API_KEY");

  @Option(
      names = "--host",
      paramLabel = "ADDRESS",
      defaultValue = "127.0.0.1",
      description = "Address to listen on; 0.0.0.0 for all. Default: ${DEFAULT-VALUE}.")
  private String host = "127.0.0.1";

  @Option(
      names = "--port",
      paramLabel = "N",
      defaultValue = "8000",
      description = "Port to listen on; 0 for a free one. Default: ${DEFAULT-VALUE}.")
  private int port = 8000;

  @Option(
      names = "--api-key",
      paramLabel = "KEY",
      arity = "1..*",
      description =
          "A key that opens the server; may be repeated. Also FLOTILLA_API_KEY, which no process"
              + " list shows, or VLLM_API_KEY.")
  private List<String> keys = List.of();

  @Option(
      names = "--served-model-name",
      paramLabel = "NAME",
      arity = "1..*",
      description =
          "What clients may call the model; may be repeated, answers use the first."
              + " Default: MODEL.")
  private List<String> names = List.of();

  @Option(
      names = "--ssl-certfile",
      paramLabel = "FILE",
      description = "PEM file of the certificate and its chain: serve HTTPS.")
  private @Nullable Path certificate;

  @Option(
      names = "--ssl-keyfile",
      paramLabel = "FILE",
      description = "PEM file of the certificate's private key (PKCS #8).")
  private @Nullable Path key;

  @Option(
      names = "--allowed-origins",
      paramLabel = "ORIGIN",
      split = ",",
      description = "Origins whose pages may call the server (CORS). Default: none.")
  private List<String> origins = List.of();

  @Option(
      names = "--max-body-bytes",
      paramLabel = "SIZE",
      converter = ByteSize.class,
      defaultValue = "32MiB",
      description = "Longer requests are refused (HTTP 413). Default: ${DEFAULT-VALUE}.")
  private long maxBodyBytes = 32L << 20;

  @Option(
      names = "--metrics-prefix",
      paramLabel = "TEXT",
      defaultValue = ServerOptions.DEFAULT_METRICS_PREFIX,
      description =
          "What the names of metrics begin with, such as vllm for its dashboards."
              + " Default: ${DEFAULT-VALUE}.")
  private String metricsPrefix = ServerOptions.DEFAULT_METRICS_PREFIX;

  /**
   * The options of the server.
   *
   * @param modelName what the model is called where nothing was said
   * @throws UsageException naming the flag that cannot be honoured
   */
  ServerOptions toOptions(String modelName, Map<String, String> environment) {
    requireReadable("--ssl-certfile", certificate);
    requireReadable("--ssl-keyfile", key);
    if (!metricsPrefix.matches("[A-Za-z_][A-Za-z0-9_]*")) {
      throw new UsageException(
          "--metrics-prefix is '" + metricsPrefix + "'; it must be letters, digits and _");
    }
    try {
      return new ServerOptions(
          host,
          port,
          keys(environment),
          names.isEmpty() ? List.of(modelName) : names,
          certificate,
          key,
          origins,
          maxBodyBytes,
          metricsPrefix);
    } catch (IllegalArgumentException e) {
      throw new UsageException(String.valueOf(e.getMessage()));
    }
  }

  private List<String> keys(Map<String, String> environment) {
    List<String> all = new ArrayList<>(keys);
    for (String variable : KEY_VARIABLES) {
      String value = environment.getOrDefault(variable, "");
      if (!value.isBlank()) {
        all.add(value);
      }
    }
    return all;
  }

  private static void requireReadable(String flag, @Nullable Path file) {
    if (file != null && !Files.isReadable(file)) {
      throw new UsageException(flag + " is " + file + ", which is no readable file");
    }
  }

  /**
   * Refuses an address that cannot be listened on, before minutes go into loading a model.
   *
   * @throws UsageException naming the flag and the fix
   */
  static void requireFree(ServerOptions options) {
    InetAddress address = address(options.host());
    try (ServerSocket probe = new ServerSocket()) {
      probe.setReuseAddress(true);
      probe.bind(new InetSocketAddress(address, options.port()));
    } catch (IOException e) {
      throw new UsageException(
          "cannot listen on %s port %d: %s; choose another --port, or end what listens there"
              .formatted(options.host(), options.port(), e.getMessage()));
    }
  }

  /** Whether others than this machine can reach the server, and nothing keeps them out. */
  static boolean isOpenToOthers(ServerOptions options) {
    return options.apiKeys().isEmpty() && !address(options.host()).isLoopbackAddress();
  }

  private static InetAddress address(String host) {
    try {
      return InetAddress.getByName(host);
    } catch (UnknownHostException e) {
      throw new UsageException("--host is " + host + ", which is no address of this machine");
    }
  }
}
