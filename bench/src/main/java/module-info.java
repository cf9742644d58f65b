/** Load generation and offline throughput. */
module io.flotilla.bench {
  requires static transitive org.jspecify;
  requires transitive io.flotilla.generation;
}
