package io.flotilla.kernels.cpu;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/**
 * Messages on their way from one rank to another, copied in by the sender and out by the receiver.
 * The memory of a message is reused for later ones and grows with them.
 */
final class MessageQueue {
  private static final long ALIGNMENT = 64;

  private final Waiter sender;
  private final Waiter receiver;
  private final MemorySegment[] memory;
  private final long[] lengths;
  private volatile long sent;
  private volatile long received;

  /**
   * @param capacity messages on their way at most
   */
  MessageQueue(Waiter sender, Waiter receiver, int capacity) {
    this.sender = sender;
    this.receiver = receiver;
    this.memory = new MemorySegment[capacity];
    this.lengths = new long[capacity];
    Arrays.fill(memory, MemorySegment.NULL);
  }

  /** Called by the sender's thread. */
  void send(MemorySegment from) {
    long number = sent;
    if (number - received == memory.length) {
      sender.await(() -> number - received < memory.length);
    }
    int place = (int) (number % memory.length);
    long bytes = from.byteSize();
    if (memory[place].byteSize() < bytes) {
      memory[place] = Arena.ofAuto().allocate(bytes, ALIGNMENT);
    }
    MemorySegment.copy(from, 0, memory[place], 0, bytes);
    lengths[place] = bytes;
    sent = number + 1;
    receiver.wake();
  }

  /**
   * Called by the receiver's thread.
   *
   * @throws IllegalStateException when the next message has another length
   */
  void receive(MemorySegment to) {
    long number = received;
    if (sent == number) {
      receiver.await(() -> sent > number);
    }
    int place = (int) (number % memory.length);
    if (lengths[place] != to.byteSize()) {
      throw new IllegalStateException(
          "a message of %d bytes came where %d were expected"
              .formatted(lengths[place], to.byteSize()));
    }
    MemorySegment.copy(memory[place], 0, to, 0, to.byteSize());
    received = number + 1;
    sender.wake();
  }
}
