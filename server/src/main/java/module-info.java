/** The OpenAI-compatible HTTP server and its metrics. */
module io.flotilla.server {
  requires static transitive org.jspecify;
  requires org.slf4j;
  requires transitive io.flotilla.generation;
}
