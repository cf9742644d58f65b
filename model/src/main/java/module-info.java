/** Architectures, parallel layers and sampling. */
module io.flotilla.model {
  requires static transitive org.jspecify;
  requires transitive io.flotilla.kernels;
  requires transitive io.flotilla.checkpoint;

  exports io.flotilla.model;
  exports io.flotilla.model.layer;
  exports io.flotilla.model.sampling;
}
