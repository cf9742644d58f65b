package io.flotilla.fleet.remote;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@Timeout(30)
class HandshakeTest {
  private ServerSocket door = unbound();
  private Handshake handshake = Handshake.withNewToken(0);

  private static ServerSocket unbound() {
    try {
      return new ServerSocket();
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  @BeforeEach
  void open() throws IOException {
    door = new ServerSocket(0, 4, InetAddress.getLoopbackAddress());
    handshake = Handshake.withNewToken(door.getLocalPort());
  }

  @AfterEach
  void close() throws IOException {
    door.close();
  }

  @Test
  void standardInputSaysWhereToConnect() throws IOException {
    ByteArrayOutputStream stdin = new ByteArrayOutputStream();
    handshake.writeTo(stdin);
    Handshake read = Handshake.readFrom(new ByteArrayInputStream(stdin.toByteArray()));
    assertThat(read.port()).isEqualTo(handshake.port());
    assertThat(read.token()).isEqualTo(handshake.token()).hasSize(32);
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "8000", "8000 12", "x y"})
  void aPersonWhoStartsAReplicaIsToldWhoDoes(String stdin) {
    var stream = new ByteArrayInputStream(stdin.getBytes(StandardCharsets.US_ASCII));
    assertThatThrownBy(() -> Handshake.readFrom(stream))
        .isInstanceOf(ProtocolException.class)
        .hasMessageContaining("started by flotilla serve");
  }

  @Test
  void theChildIsLetIn() throws Exception {
    CompletableFuture<Socket> child = later(handshake);
    try (Socket caller = door.accept()) {
      assertThat(handshake.admit(caller)).isTrue();
      assertThat(caller.getSoTimeout()).isZero();
      child.get(10, TimeUnit.SECONDS).close();
    }
  }

  @Test
  void aStrangerIsNot() throws Exception {
    CompletableFuture<Socket> stranger = later(Handshake.withNewToken(handshake.port()));
    try (Socket caller = door.accept()) {
      assertThat(handshake.admit(caller)).isFalse();
    }
    assertThat(stranger.handle((_, failure) -> failure).get(10, TimeUnit.SECONDS)).isNotNull();
  }

  @Test
  void aReplicaOfAnotherVersionIsNamed() throws Exception {
    try (Socket child = new Socket(door.getInetAddress(), door.getLocalPort());
        Socket caller = door.accept()) {
      DataOutputStream out = new DataOutputStream(child.getOutputStream());
      out.write("FLOTILLA".getBytes(StandardCharsets.US_ASCII));
      out.write(handshake.token());
      out.writeInt(Handshake.VERSION + 1);
      assertThatThrownBy(() -> handshake.admit(caller))
          .isInstanceOf(ProtocolException.class)
          .hasMessageContaining("start the server again");
    }
  }

  private static CompletableFuture<Socket> later(Handshake handshake) {
    return CompletableFuture.supplyAsync(
        () -> {
          try {
            return handshake.connect();
          } catch (IOException e) {
            throw new IllegalStateException(e);
          }
        });
  }
}
