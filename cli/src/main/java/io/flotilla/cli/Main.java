package io.flotilla.cli;

/** The entry point of {@code flotilla}. */
public final class Main {
  private Main() {}

  /** Runs a command and ends the process with its exit code. */
  public static void main(String[] args) {
    System.exit(FlotillaCommand.run(args));
  }
}
