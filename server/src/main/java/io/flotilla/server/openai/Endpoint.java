package io.flotilla.server.openai;

/** What answers the requests of one path. */
@FunctionalInterface
public interface Endpoint {
  /**
   * @throws RefusedException with the error to answer, as long as no answer has begun
   * @throws ClientGoneException when there is nobody to answer
   */
  void handle(Exchange exchange) throws InterruptedException;
}
