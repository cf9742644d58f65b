/** Ranks, the plans they run, and the executor that drives them. */
module io.flotilla.executor {
  requires static transitive org.jspecify;
  requires transitive io.flotilla.model;

  exports io.flotilla.executor;
  exports io.flotilla.executor.wire;
}
