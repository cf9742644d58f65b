package io.flotilla.server;

import io.helidon.common.configurable.Resource;
import io.helidon.common.pki.Keys;
import io.helidon.common.tls.Tls;
import io.helidon.webserver.WebServerConfig;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/** The certificate of a server that speaks TLS. */
final class Certificates {
  private Certificates() {}

  /**
   * Turns on TLS where the options have a certificate.
   *
   * @throws IllegalArgumentException naming the files, when they cannot be used
   */
  static void configure(WebServerConfig.Builder builder, ServerOptions options) {
    @Nullable Path certificate = options.certificate();
    @Nullable Path key = options.key();
    if (certificate == null || key == null) {
      return;
    }
    try {
      Keys keys =
          Keys.builder()
              .pem(pem -> pem.key(Resource.create(key)).certChain(Resource.create(certificate)))
              .build();
      builder.tls(Tls.builder().privateKey(keys).privateKeyCertChain(keys).build());
    } catch (RuntimeException e) {
      throw new IllegalArgumentException(
          "cannot use --ssl-certfile "
              + certificate
              + " with --ssl-keyfile "
              + key
              + "; both must be PEM, the key PKCS #8 without a passphrase: "
              + e.getMessage(),
          e);
    }
  }
}
