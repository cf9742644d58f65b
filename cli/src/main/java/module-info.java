/** The {@code flotilla} command. */
module io.flotilla.cli {
  requires static transitive org.jspecify;
  requires io.flotilla.server;
  requires io.flotilla.bench;
  requires info.picocli;
  requires java.logging;
  requires jdk.unsupported; // The signals of a terminal.
  requires me.tongfei.progressbar;
  requires org.jline.reader;
  requires org.jline.terminal;
  requires org.slf4j;
  requires org.snakeyaml.engine;

  // picocli fills the fields of commands.
  opens io.flotilla.cli to
      info.picocli;
  opens io.flotilla.cli.bench to
      info.picocli;
  opens io.flotilla.cli.chat to
      info.picocli;
  opens io.flotilla.cli.models to
      info.picocli;
  opens io.flotilla.cli.option to
      info.picocli;
  opens io.flotilla.cli.plan to
      info.picocli;
  opens io.flotilla.cli.serve to
      info.picocli;
}
