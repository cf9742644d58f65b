/** Text to ids and back, and chat templates. */
module io.flotilla.tokenizer {
  requires static transitive org.jspecify;
  requires org.slf4j;

  exports io.flotilla.tokenizer;
}
