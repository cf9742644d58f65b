/** Text to ids and back, and chat templates. */
module io.flotilla.tokenizer {
  requires static transitive org.jspecify;
  requires org.slf4j;
  requires tools.jackson.databind;
  requires ai.djl.tokenizers;
  requires ai.djl.api;
  requires jinjava;
  // Read by the automatic modules above, which cannot say so themselves.
  requires com.google.gson;
  requires com.sun.jna;
  requires org.apache.commons.lang3;
  requires com.fasterxml.jackson.databind;
  requires com.fasterxml.jackson.dataformat.yaml;
  requires com.fasterxml.jackson.datatype.jdk8;
  requires java.desktop;

  exports io.flotilla.tokenizer;
  // Its functions are called by reflection.
  exports io.flotilla.tokenizer.jinja to
      jinjava;
}
