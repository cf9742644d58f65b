/** Text in, text out: a loaded model with its tokenizer in front of the fleet. */
module io.flotilla.generation {
  requires static transitive org.jspecify;
  requires jdk.management;
  requires org.slf4j;
  requires transitive io.flotilla.checkpoint;
  requires transitive io.flotilla.fleet;
  requires transitive io.flotilla.tokenizer;

  uses io.flotilla.kernels.DeviceProvider;

  exports io.flotilla.generation;
}
