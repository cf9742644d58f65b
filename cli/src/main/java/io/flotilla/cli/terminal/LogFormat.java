package io.flotilla.cli.terminal;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.time.ZoneId;
import java.time.format.DateTimeFormatter;
import java.util.logging.ConsoleHandler;
import java.util.logging.Formatter;
import java.util.logging.Level;
import java.util.logging.LogRecord;
import java.util.logging.Logger;

/** One line an event: time, level where it is not information, message. */
public final class LogFormat extends Formatter {
  private static final DateTimeFormatter TIME =
      DateTimeFormatter.ofPattern("HH:mm:ss.SSS").withZone(ZoneId.systemDefault());

  // Held here, because the JDK forgets the levels of loggers that nobody holds.
  private static final Logger DJL = Logger.getLogger("ai.djl");
  private static final Logger FLOTILLA = Logger.getLogger("io.flotilla");

  private final boolean stackTraces;

  private LogFormat(boolean stackTraces) {
    this.stackTraces = stackTraces;
  }

  /** Sends the log to standard error in this format. */
  public static void install(boolean verbose) {
    Logger root = Logger.getLogger("");
    for (var handler : root.getHandlers()) {
      root.removeHandler(handler);
    }
    ConsoleHandler console = new ConsoleHandler();
    console.setFormatter(new LogFormat(verbose));
    console.setLevel(Level.ALL);
    root.addHandler(console);
    root.setLevel(Level.WARNING);
    // It warns of GPUs it cannot count, on machines where none is asked for.
    DJL.setLevel(Level.SEVERE);
    FLOTILLA.setLevel(verbose ? Level.FINE : Level.INFO);
  }

  /** Leaves out what is mere information, unless the log is verbose: people read answers here. */
  public static void leaveOutInformation() {
    if (!FLOTILLA.isLoggable(Level.FINE)) {
      FLOTILLA.setLevel(Level.WARNING);
    }
  }

  @Override
  public String format(LogRecord event) {
    StringBuilder line = new StringBuilder(TIME.format(event.getInstant())).append(' ');
    if (!event.getLevel().equals(Level.INFO)) {
      line.append(event.getLevel().getName()).append(' ');
    }
    line.append(formatMessage(event));
    Throwable thrown = event.getThrown();
    if (thrown != null && stackTraces) {
      StringWriter trace = new StringWriter();
      thrown.printStackTrace(new PrintWriter(trace, true));
      line.append(System.lineSeparator()).append(trace);
      return line.toString();
    }
    return (thrown == null ? line : line.append(": ").append(thrown)) + System.lineSeparator();
  }
}
