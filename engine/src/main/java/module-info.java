/** The step loop of one replica: scheduling, KV blocks and the engine's mailbox. */
module io.flotilla.engine {
  requires static transitive org.jspecify;
  requires org.slf4j;
  requires transitive io.flotilla.executor;

  exports io.flotilla.engine;
}
