/** Text to ids and back, and chat templates. */
module io.flotilla.tokenizer {
  requires static transitive org.jspecify;
  requires org.slf4j;
  requires tools.jackson.databind;
  requires ai.djl.tokenizers;
  requires ai.djl.api;
  // Read by the two automatic modules above, which cannot say so themselves.
  requires com.google.gson;
  requires com.sun.jna;

  exports io.flotilla.tokenizer;
}
