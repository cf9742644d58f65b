/** Load generation and offline throughput. */
module io.flotilla.bench {
  requires static transitive org.jspecify;
  requires transitive io.flotilla.generation;
  requires java.net.http;
  requires org.slf4j;
  requires transitive tools.jackson.databind;

  exports io.flotilla.bench;
  exports io.flotilla.bench.client;
  exports io.flotilla.bench.dataset;
  exports io.flotilla.bench.report;
}
