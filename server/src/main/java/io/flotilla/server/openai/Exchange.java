package io.flotilla.server.openai;

import tools.jackson.databind.JsonNode;

/** One request and the way back. Used by one thread at a time. */
public interface Exchange {
  /** {@code System.nanoTime} when the request came. */
  long arrivalNanos();

  /** The path, decoded. */
  String path();

  /**
   * The whole body.
   *
   * @throws RefusedException when it is too large
   */
  byte[] body();

  /** Answers with status 200. */
  void answer(JsonNode body);

  /** Begins a stream of events; the head is sent with the first one. */
  EventStreamWriter events();

  /** Whether the client has closed its connection, as far as can be told. */
  boolean isClientGone();
}
