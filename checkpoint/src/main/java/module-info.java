/** Models on disk: the hub's cache, configuration files, safetensors and GGUF. */
module io.flotilla.checkpoint {
  requires static transitive org.jspecify;
  requires org.slf4j;
  requires tools.jackson.databind;
  requires java.net.http;

  exports io.flotilla.checkpoint;
  exports io.flotilla.checkpoint.hub;
}
