package io.flotilla.executor.wire;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(30)
class RendezvousTest {
  private static final Duration PATIENCE = Duration.ofSeconds(20);
  private static final Duration IMPATIENCE = Duration.ofSeconds(1);

  private final int port = freePort();
  private final List<String> notices = new CopyOnWriteArrayList<>();

  private static int freePort() {
    try (ServerSocket probe = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      return probe.getLocalPort();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static SequencedMap<String, String> fields(String tensor) {
    return new LinkedHashMap<>(Map.of("--tensor-parallel-size", tensor));
  }

  private CompletableFuture<NodeLinks> meet(int nodes, int node, String tensor) {
    NodePlace place = new NodePlace(nodes, node, "127.0.0.1", port);
    return meet(place, Hello.of(place, fields(tensor)), PATIENCE);
  }

  private CompletableFuture<NodeLinks> meet(NodePlace place, Hello hello, Duration patience) {
    return CompletableFuture.supplyAsync(
        () -> Rendezvous.meet(place, hello, patience, notices::add),
        task -> Thread.ofPlatform().daemon().start(task));
  }

  private static void close(CompletableFuture<NodeLinks> joined) {
    joined.join().close();
  }

  @Test
  void nodesMeetInWhateverOrderTheyCome() throws InterruptedException {
    CompletableFuture<NodeLinks> second = meet(3, 2, "1");
    Thread.sleep(300);
    CompletableFuture<NodeLinks> master = meet(3, 0, "1");
    Thread.sleep(300);
    CompletableFuture<NodeLinks> first = meet(3, 1, "1");
    assertThat(master.join().connections()).extracting(NodeConnection::node).containsExactly(1, 2);
    assertThat(first.join().connections()).extracting(NodeConnection::node).containsExactly(0);
    assertThat(notices)
        .anyMatch(text -> text.startsWith("Waiting for node 0 at 127.0.0.1:" + port))
        .anyMatch(text -> text.startsWith("Waiting at 127.0.0.1:" + port + " for node 1"));
    List.of(master, first, second).forEach(RendezvousTest::close);
  }

  @Test
  void whatDiffersIsNamedOnBothSides() {
    CompletableFuture<NodeLinks> master = meet(2, 0, "2");
    CompletableFuture<NodeLinks> other = meet(2, 1, "4");
    assertThatThrownBy(master::join)
        .hasCauseInstanceOf(NodeException.class)
        .hasMessageContaining("node 1 (127.0.0.1) does not fit")
        .hasMessageContaining("--tensor-parallel-size is 2 here and 4 there");
    assertThatThrownBy(other::join)
        .hasMessageContaining("node 0 (127.0.0.1) does not fit")
        .hasMessageContaining("--tensor-parallel-size is 4 here and 2 there");
  }

  @Test
  void anotherProtocolIsNamedOnBothSides() {
    NodePlace place = new NodePlace(2, 1, "127.0.0.1", port);
    Hello later = new Hello(Hello.PROTOCOL + 1, 1, fields("2"));
    CompletableFuture<NodeLinks> master = meet(2, 0, "2");
    CompletableFuture<NodeLinks> other = meet(place, later, PATIENCE);
    assertThatThrownBy(master::join).hasMessageContaining("the protocol is 1 here and 2 there");
    assertThatThrownBy(other::join).hasMessageContaining("the protocol is 2 here and 1 there");
  }

  @Test
  void anOptionThatOneSideDoesNotKnowIsNamed() {
    NodePlace place = new NodePlace(2, 1, "127.0.0.1", port);
    SequencedMap<String, String> more = fields("2");
    more.put("--tomorrow", "on");
    CompletableFuture<NodeLinks> master = meet(2, 0, "2");
    CompletableFuture<NodeLinks> other = meet(place, Hello.of(place, more), PATIENCE);
    assertThatThrownBy(master::join)
        .hasMessageContaining("--tomorrow is on there and not known here");
    assertThatThrownBy(other::join)
        .hasMessageContaining("--tomorrow is on here and not known there");
  }

  @Test
  void othersHearThatOneDoesNotFit() {
    CompletableFuture<NodeLinks> master = meet(3, 0, "2");
    CompletableFuture<NodeLinks> first = meet(3, 1, "2");
    await("for node 2,");
    CompletableFuture<NodeLinks> second = meet(3, 2, "4");
    assertThatThrownBy(second::join).hasMessageContaining("does not fit");
    assertThatThrownBy(master::join).hasMessageContaining("node 2 (127.0.0.1) does not fit");
    assertThatThrownBy(first::join).hasMessageContaining("node 2 (127.0.0.1) does not fit");
  }

  /** A notice comes at most every ten seconds, so its absence says little. */
  private void await(String part) {
    long end = System.nanoTime() + Duration.ofMillis(500).toNanos();
    while (notices.stream().noneMatch(text -> text.contains(part)) && System.nanoTime() < end) {
      Thread.onSpinWait();
    }
  }

  @Test
  void aSecondNodeOfOneNumberIsRefusedAndTheFirstStays() {
    CompletableFuture<NodeLinks> master = meet(3, 0, "2");
    CompletableFuture<NodeLinks> first = meet(3, 1, "2");
    await("never");
    CompletableFuture<NodeLinks> again = meet(3, 1, "2");
    assertThatThrownBy(again::join).hasMessageContaining("--node-rank 1 has joined already");
    CompletableFuture<NodeLinks> second = meet(3, 2, "2");
    List.of(master, first, second).forEach(RendezvousTest::close);
  }

  @Test
  void strangersAreIgnored() throws IOException {
    CompletableFuture<NodeLinks> master = meet(2, 0, "2");
    await("Waiting at");
    try (Socket stranger = new Socket(InetAddress.getLoopbackAddress(), port)) {
      byte[] request = "GET / HTTP/1.1\r\n\r\n".getBytes(StandardCharsets.US_ASCII);
      stranger.getOutputStream().write(request);
    }
    await("does not speak");
    CompletableFuture<NodeLinks> other = meet(2, 1, "2");
    List.of(master, other).forEach(RendezvousTest::close);
    assertThat(notices).anyMatch(text -> text.contains("does not speak Flotilla's protocol"));
  }

  @Test
  void aPortThatIsInUseIsNamed() throws IOException {
    try (ServerSocket occupied = new ServerSocket(port, 1, InetAddress.getLoopbackAddress())) {
      assertThat(occupied.isBound()).isTrue();
      assertThatThrownBy(meet(2, 0, "2")::join)
          .hasCauseInstanceOf(NodeException.class)
          .hasMessageContaining("node 0 cannot listen at 127.0.0.1:" + port)
          .hasMessageContaining("--master-port");
    }
  }

  @Test
  void anAddressOfNoHostIsNamed() {
    NodePlace place = new NodePlace(2, 0, "no-such-host.invalid", port);
    assertThatThrownBy(
            () -> Rendezvous.meet(place, Hello.of(place, fields("1")), PATIENCE, _ -> {}))
        .hasMessageContaining("no-such-host.invalid")
        .hasMessageContaining("--master-addr");
  }

  @Test
  void aNodeThatNeverJoinsEndsTheWait() {
    NodePlace place = new NodePlace(2, 0, "127.0.0.1", port);
    assertThatThrownBy(meet(place, Hello.of(place, fields("1")), IMPATIENCE)::join)
        .hasMessageContaining("node 1 of 2 has not joined after 1 s");
  }

  @Test
  void aMasterThatNeverListensEndsTheWait() {
    NodePlace place = new NodePlace(2, 1, "127.0.0.1", port);
    assertThatThrownBy(meet(place, Hello.of(place, fields("1")), IMPATIENCE)::join)
        .hasMessageContaining("node 0 does not listen at 127.0.0.1:" + port)
        .hasMessageContaining("Connection refused")
        .hasMessageContaining("after 1 s");
  }

  @Test
  void somethingElseThatListensIsNoMaster() throws IOException {
    try (ServerSocket other = new ServerSocket(port, 1, InetAddress.getLoopbackAddress())) {
      CompletableFuture<NodeLinks> joining = meet(2, 1, "1");
      try (Socket accepted = other.accept()) {
        accepted.getOutputStream().write("SSH-2.0-OpenSSH\r\n".getBytes(StandardCharsets.US_ASCII));
        assertThatThrownBy(joining::join)
            .hasMessageContaining("is no node 0 of Flotilla")
            .hasMessageContaining("does not speak Flotilla's protocol");
      }
    }
  }

  @Test
  void stagesDivideEvenlyOrAreRefusedWithTheNumbers() {
    NodePlace place = new NodePlace(2, 0, "127.0.0.1", port);
    assertThat(place.stages(4)).isEqualTo(2);
    assertThatThrownBy(() -> place.stages(3))
        .hasMessageContaining("--nnodes 2 does not divide the 3 stages");
    assertThatThrownBy(() -> new NodePlace(2, 2, "127.0.0.1", port))
        .hasMessageContaining("--node-rank is 2; with --nnodes 2 it is from 0 to 1");
  }
}
