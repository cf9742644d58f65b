package io.flotilla.cli.terminal;

import java.io.PrintStream;
import me.tongfei.progressbar.ConsoleProgressBarConsumer;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressBarStyle;
import org.jspecify.annotations.Nullable;

/**
 * Shows how far something is: as a bar where standard error is a terminal, else as a line now and
 * then, for logs.
 */
public final class ProgressLine implements AutoCloseable {
  private static final int BAR_WIDTH = 100;
  private static final long LINE_INTERVAL = 5_000_000_000L;

  private final String task;
  private final long total;
  private final PrintStream out;
  private final @Nullable ProgressBar bar;
  private long lastLine = System.nanoTime();

  private ProgressLine(String task, long total, PrintStream out, @Nullable ProgressBar bar) {
    this.task = task;
    this.total = total;
    this.out = out;
    this.bar = bar;
  }

  /** Counts {@code total} things. */
  public static ProgressLine ofCount(String task, long total) {
    return open(task, total, "", 1);
  }

  /** Counts bytes. */
  public static ProgressLine ofBytes(String task, long total) {
    return open(task, total, " MiB", 1 << 20);
  }

  private static ProgressLine open(String task, long total, String unit, long unitSize) {
    PrintStream out = System.err;
    return new ProgressLine(
        task,
        total,
        out,
        Terminals.areInteractive() ? bar(task, total, unit, unitSize, out) : null);
  }

  private static ProgressBar bar(
      String task, long total, String unit, long unitSize, PrintStream out) {
    return new ProgressBarBuilder()
        .setTaskName(task)
        .setInitialMax(total)
        .setStyle(ProgressBarStyle.UNICODE_BLOCK)
        .setUnit(unit, unitSize)
        .setUpdateIntervalMillis(200)
        .setConsumer(new ConsoleProgressBarConsumer(out, BAR_WIDTH))
        .showSpeed()
        .build();
  }

  /** Says how much is done. Thread-safe. */
  public synchronized void at(long done) {
    if (bar != null) {
      bar.stepTo(done);
    } else if (System.nanoTime() - lastLine > LINE_INTERVAL) {
      lastLine = System.nanoTime();
      out.printf("%s: %d%%%n", task, total == 0 ? 100 : 100 * done / total);
    }
  }

  @Override
  public void close() {
    if (bar != null) {
      bar.close();
    }
  }
}
