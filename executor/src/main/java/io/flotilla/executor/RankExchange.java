package io.flotilla.executor;

import io.flotilla.kernels.Buffer;
import io.flotilla.kernels.Collectives;
import io.flotilla.kernels.Device;
import io.flotilla.kernels.Stream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** Exchanges small host memory between the ranks of a stage, through their devices. */
final class RankExchange {
  private final Collectives ranks;
  private final Stream stream;
  private final MemorySegment mine;
  private final MemorySegment all;
  private final Buffer deviceMine;
  private final Buffer deviceAll;

  /**
   * @param bytes that a rank exchanges at most
   */
  RankExchange(Collectives ranks, Device device, Stream stream, Arena arena, long bytes) {
    this.ranks = ranks;
    this.stream = stream;
    this.mine = arena.allocate(bytes, Long.BYTES);
    this.all = arena.allocate(bytes * ranks.size(), Long.BYTES);
    this.deviceMine = device.allocate(mine.byteSize());
    this.deviceAll = device.allocate(all.byteSize());
  }

  /** Bytes on host and device. */
  long bytes() {
    return 2 * (mine.byteSize() + all.byteSize());
  }

  /** What this rank gives, and what it gets of one other. */
  MemorySegment mine() {
    return mine;
  }

  /** What all ranks gave, one after another. */
  MemorySegment all() {
    return all;
  }

  /** Puts the first {@code bytes} of every rank's {@link #mine} into {@link #all}. */
  void gather(long bytes) {
    upload(bytes);
    Buffer gathered = deviceAll.slice(0, bytes * ranks.size());
    ranks.allGather(stream, deviceMine.slice(0, bytes), gathered);
    stream.download(gathered, all.asSlice(0, gathered.bytes()));
    stream.synchronize();
  }

  /** Puts the first {@code bytes} of the root's {@link #mine} into that of all. */
  void broadcast(long bytes, int root) {
    upload(bytes);
    ranks.broadcast(stream, deviceMine.slice(0, bytes), root);
    download(bytes);
  }

  /** Sends the first {@code bytes} of {@link #mine}. */
  void send(long bytes, int receiver) {
    upload(bytes);
    ranks.send(stream, deviceMine.slice(0, bytes), receiver);
  }

  /** Receives the first {@code bytes} of a sender's into {@link #mine}. */
  void receive(long bytes, int sender) {
    ranks.receive(stream, deviceMine.slice(0, bytes), sender);
    download(bytes);
  }

  private void upload(long bytes) {
    stream.upload(mine.asSlice(0, bytes), deviceMine.slice(0, bytes));
  }

  private void download(long bytes) {
    stream.download(deviceMine.slice(0, bytes), mine.asSlice(0, bytes));
    stream.synchronize();
  }
}
