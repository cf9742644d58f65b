package io.flotilla.server;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.util.List;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** A server that speaks TLS. */
@Timeout(30)
class TlsTest {
  @TempDir private Path folder;

  private Path resource(String name) throws Exception {
    Path file = folder.resolve(name);
    try (InputStream stream = TlsTest.class.getResourceAsStream("tls/" + name)) {
      assertThat(stream).isNotNull();
      Files.copy(stream, file);
    }
    return file;
  }

  private static ServerOptions options(@Nullable Path certificate, @Nullable Path key) {
    ServerOptions plain = TestServer.options();
    return new ServerOptions(
        plain.host(),
        plain.port(),
        plain.apiKeys(),
        plain.servedModelNames(),
        certificate,
        key,
        plain.allowedOrigins(),
        plain.maxBodyBytes(),
        plain.metricsPrefix());
  }

  private static SSLContext trusting(Path certificate) throws Exception {
    KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
    store.load(null, null);
    try (InputStream stream = Files.newInputStream(certificate)) {
      store.setCertificateEntry(
          "server", CertificateFactory.getInstance("X.509").generateCertificate(stream));
    }
    TrustManagerFactory trust =
        TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
    trust.init(store);
    SSLContext context = SSLContext.getInstance("TLS");
    context.init(null, trust.getTrustManagers(), null);
    return context;
  }

  @Test
  void answersClientsThatTrustItsCertificate() throws Exception {
    Path certificate = resource("certificate.pem");
    try (TestServer server =
            TestServer.of(new FakeModel(), options(certificate, resource("key.pem")));
        HttpClient client = HttpClient.newBuilder().sslContext(trusting(certificate)).build()) {
      URI health = URI.create("https://127.0.0.1:" + server.server().port() + "/health");
      HttpResponse<String> response =
          client.send(HttpRequest.newBuilder(health).build(), BodyHandlers.ofString());
      assertThat(response.statusCode()).isEqualTo(200);
    }
  }

  @Test
  void namesFilesThatAreNoCertificateAndKey() throws Exception {
    Path certificate = resource("certificate.pem");
    Path nonsense = Files.writeString(folder.resolve("nonsense.pem"), "nonsense");
    for (List<Path> files :
        List.of(List.of(certificate, nonsense), List.of(nonsense, resource("key.pem")))) {
      ServerOptions options = options(files.getFirst(), files.getLast());
      assertThatThrownBy(() -> TestServer.of(new FakeModel(), options))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("--ssl-certfile " + files.getFirst())
          .hasMessageContaining("--ssl-keyfile " + files.getLast());
    }
  }
}
