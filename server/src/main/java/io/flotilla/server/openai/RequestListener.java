package io.flotilla.server.openai;

/** Told of the choices of requests, on their threads. */
public interface RequestListener {
  /** Keeps nothing. */
  RequestListener NONE =
      new RequestListener() {
        @Override
        public void firstToken(long nanos) {}

        @Override
        public void nextToken(long nanos) {}

        @Override
        public void ended(String reason, long nanos) {}
      };

  /**
   * A choice's first token came.
   *
   * @param nanos since the request
   */
  void firstToken(long nanos);

  /**
   * Another token came.
   *
   * @param nanos since the one before
   */
  void nextToken(long nanos);

  /**
   * A choice has ended.
   *
   * @param reason {@code stop}, {@code length}, {@code abort} or {@code error}
   * @param nanos since the request
   */
  void ended(String reason, long nanos);
}
