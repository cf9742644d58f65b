package io.flotilla.cli.terminal;

import java.io.Console;

/** Tells people from pipes. */
public final class Terminals {
  private Terminals() {}

  /** Whether standard input and output are a terminal. */
  @SuppressWarnings("SystemConsoleNull") // JDK 25 gives null again where there is none.
  public static boolean areInteractive() {
    Console console = System.console();
    return console != null && console.isTerminal();
  }
}
