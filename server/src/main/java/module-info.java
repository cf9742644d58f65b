/** The OpenAI-compatible HTTP server and its metrics. */
module io.flotilla.server {
  requires static transitive org.jspecify;
  requires org.slf4j;
  requires transitive io.flotilla.generation;
  requires io.helidon.common.buffers;
  requires io.helidon.common.configurable;
  requires io.helidon.common.pki;
  requires io.helidon.common.socket;
  requires io.helidon.common.tls;
  requires io.helidon.http;
  requires io.helidon.webserver;
  requires micrometer.core;
  requires micrometer.registry.prometheus;
  requires tools.jackson.databind;

  exports io.flotilla.server;
}
