/** The {@code flotilla} command. */
module io.flotilla.cli {
  requires static transitive org.jspecify;
  requires io.flotilla.server;
  requires io.flotilla.bench;
  requires info.picocli;
}
