package io.flotilla.kernels.cuda;

import io.flotilla.kernels.Buffer;

/**
 * Messages on their way from one rank to another. The sender's stream copies a message aside and
 * the receiver's copies it out, each waiting for the other's events; the threads wait only for the
 * other to have enqueued its side.
 */
final class CudaMessages {
  private final CudaGroup group;
  private final int sender;
  private final int receiver;
  private final Message[] messages;
  private volatile long sent;
  private volatile long received;

  /** A place for a message; its memory grows with what is sent. */
  private static final class Message {
    private long address;
    private long room;
    private long bytes;
    private long arrived;
    private long taken;
  }

  /**
   * @param capacity messages on their way at most
   */
  CudaMessages(CudaGroup group, int sender, int receiver, int capacity) {
    this.group = group;
    this.sender = sender;
    this.receiver = receiver;
    this.messages = new Message[capacity];
    for (int i = 0; i < capacity; i++) {
      messages[i] = new Message();
    }
  }

  /** Called by the sender's thread. */
  void send(Buffer from, long stream) {
    long number = sent;
    group.meetings().await(sender, () -> number - received < messages.length);
    Message message = messages[(int) (number % messages.length)];
    CudaDevice device = group.device(sender);
    if (message.arrived == 0) {
      message.arrived = device.createEvent();
    } else {
      device.driver().waitForEvent(stream, message.taken);
    }
    if (message.room < from.bytes()) {
      message.room = Math.max(from.bytes(), 2 * message.room);
      message.address = CudaBuffer.address(device.allocate(message.room));
    }
    message.bytes = from.bytes();
    device
        .driver()
        .copyBetweenDevices(message.address, CudaBuffer.address(from), from.bytes(), stream);
    device.driver().recordEvent(message.arrived, stream);
    sent = number + 1;
    group.meetings().wake(receiver);
  }

  /**
   * Called by the receiver's thread.
   *
   * @throws IllegalStateException when the next message has another length
   */
  void receive(Buffer to, long stream) {
    long number = received;
    group.meetings().await(receiver, () -> sent > number);
    Message message = messages[(int) (number % messages.length)];
    if (message.bytes != to.bytes()) {
      throw new IllegalStateException(
          "a message of %d bytes came where %d were expected".formatted(message.bytes, to.bytes()));
    }
    CudaDevice device = group.device(receiver);
    if (message.taken == 0) {
      message.taken = device.createEvent();
    }
    device.driver().waitForEvent(stream, message.arrived);
    device.driver().copyBetweenDevices(CudaBuffer.address(to), message.address, to.bytes(), stream);
    device.driver().recordEvent(message.taken, stream);
    received = number + 1;
    group.meetings().wake(sender);
  }
}
