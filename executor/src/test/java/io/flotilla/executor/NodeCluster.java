package io.flotilla.executor;

import io.flotilla.executor.wire.Hello;
import io.flotilla.executor.wire.NodeLinks;
import io.flotilla.executor.wire.NodePlace;
import io.flotilla.executor.wire.Rendezvous;
import io.flotilla.kernels.Device;
import io.flotilla.kernels.Interconnect;
import io.flotilla.kernels.cpu.CpuDevice;
import io.flotilla.kernels.cpu.CpuInterconnect;
import io.flotilla.kernels.cpu.CpuShare;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.function.Supplier;
import java.util.stream.IntStream;

/** The nodes of one replica, joined over loopback in one JVM. */
record NodeCluster(List<LocalExecutor> executors, List<NodeLinks> links) implements AutoCloseable {
  static final Duration PATIENCE = Duration.ofSeconds(20);

  /** Starts a model on nodes; the first failure of node 0, or else of another, is thrown. */
  static NodeCluster start(TinyModel model, ExecutorOptions options, int nodes) {
    List<ExecutorOptions> all = IntStream.range(0, nodes).mapToObj(_ -> options).toList();
    return start(model, all, (_, device) -> device);
  }

  /** How a device of a rank is used. */
  interface DeviceHook {
    Device hook(int rank, Device device);
  }

  static NodeCluster start(TinyModel model, List<ExecutorOptions> options, DeviceHook hook) {
    int nodes = options.size();
    List<NodeLinks> links = join(nodes);
    List<CompletableFuture<LocalExecutor>> starting = new ArrayList<>();
    for (int node = 0; node < nodes; node++) {
      int number = node;
      starting.add(async(() -> startNode(model, options.get(number), links.get(number), hook)));
    }
    starting.forEach(node -> node.exceptionally(_ -> null).join());
    return new NodeCluster(starting.stream().map(CompletableFuture::join).toList(), links);
  }

  static LocalExecutor startNode(
      TinyModel model, ExecutorOptions options, NodeLinks links, DeviceHook hook) {
    NodePlace place = links.place();
    int ranks = options.topology().ranksPerReplica() / place.nodes();
    List<Device> devices = new ArrayList<>();
    for (int rank = 0; rank < ranks; rank++) {
      Device device = CpuDevice.open(new CpuShare(1, List.of(), true));
      devices.add(hook.hook(place.node() * ranks + rank, device));
    }
    Interconnect interconnect =
        (members, messages, abort) ->
            new CpuInterconnect()
                .connect(members.stream().map(NodeCluster::inner).toList(), messages, abort);
    return LocalExecutor.start(
        options, model.config(), model.weights(), devices, interconnect, links);
  }

  private static Device inner(Device device) {
    return device instanceof HookedDevice hooked ? hooked.inner() : device;
  }

  /** Joins nodes that have nothing to compare. */
  static List<NodeLinks> join(int nodes) {
    int port = freePort();
    List<CompletableFuture<NodeLinks>> joining = new ArrayList<>();
    for (int node = 0; node < nodes; node++) {
      NodePlace place = new NodePlace(nodes, node, "127.0.0.1", port);
      Hello hello = Hello.of(place, new LinkedHashMap<>());
      joining.add(async(() -> Rendezvous.meet(place, hello, PATIENCE, _ -> {})));
    }
    return joining.stream().map(CompletableFuture::join).toList();
  }

  /** Runs something on a thread of its own, since it waits for others that do the same. */
  static <T> CompletableFuture<T> async(Supplier<T> task) {
    return CompletableFuture.supplyAsync(task, command -> Thread.ofPlatform().start(command));
  }

  static int freePort() {
    try (ServerSocket probe = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      return probe.getLocalPort();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  LocalExecutor master() {
    return executors.getFirst();
  }

  @Override
  public void close() {
    executors.forEach(LocalExecutor::close);
  }
}
