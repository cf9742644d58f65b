/** The router and the clients of engines. */
module io.flotilla.fleet {
  requires static transitive org.jspecify;
  requires org.slf4j;
  requires transitive io.flotilla.engine;

  exports io.flotilla.fleet;
  exports io.flotilla.fleet.remote;
}
