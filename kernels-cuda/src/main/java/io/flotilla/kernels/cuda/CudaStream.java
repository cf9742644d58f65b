package io.flotilla.kernels.cuda;

import io.flotilla.kernels.Buffer;
import io.flotilla.kernels.Mark;
import io.flotilla.kernels.Stream;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.HashMap;
import java.util.Map;

/** A CUDA stream and the work recorded on it. */
final class CudaStream implements Stream {
  /** An {@link AlgorithmTrial} takes the layers of two steps. */
  static final int RUNS_BEFORE_RECORDING = 2;

  private final Driver driver;
  private final Launcher launcher;
  private final long handle;
  private final Map<Object, Integer> runs = new HashMap<>();
  private final ArrayDeque<Event> idle = new ArrayDeque<>();
  private final Map<Object, Long> recordings = new HashMap<>();

  CudaStream(Driver driver, Launcher launcher) {
    this.driver = driver;
    this.launcher = launcher;
    this.handle = driver.createStream();
  }

  static long handle(Stream stream) {
    return ((CudaStream) stream).handle;
  }

  @Override
  public void upload(MemorySegment from, Buffer to) {
    if (from.byteSize() > 0) {
      driver.copyToDevice(CudaBuffer.address(to), from, from.byteSize(), handle);
    }
  }

  @Override
  public void download(Buffer from, MemorySegment to) {
    if (from.bytes() > 0) {
      driver.copyToHost(to, CudaBuffer.address(from), from.bytes(), handle);
    }
  }

  @Override
  public void synchronize() {
    driver.synchronize(handle);
    launcher.progressed();
  }

  /**
   * {@inheritDoc}
   *
   * <p>Runs the work as it is at first, so that kernels are loaded and algorithms chosen, and
   * records it the time after.
   */
  @Override
  public void repeat(Object key, Runnable work) {
    Long recorded = recordings.get(key);
    if (recorded == null && runs.merge(key, 1, Integer::sum) <= RUNS_BEFORE_RECORDING) {
      work.run();
      return;
    }
    if (recorded == null) {
      driver.beginCapture(handle);
      work.run();
      recorded = driver.endCapture(handle);
      recordings.put(key, recorded);
    }
    driver.launchGraph(recorded, handle);
    launcher.progressed();
  }

  @Override
  public Mark mark() {
    Event event = idle.isEmpty() ? new Event(driver.createEvent()) : idle.pop();
    event.passed = false;
    driver.recordEvent(event.handle, handle);
    return event;
  }

  /** An event is recorded again once it was seen to have passed. */
  private final class Event implements Mark {
    private final long handle;
    private boolean passed;

    Event(long handle) {
      this.handle = handle;
    }

    @Override
    public boolean isPassed() {
      if (!passed && driver.isEventPassed(handle)) {
        pass();
      }
      return passed;
    }

    @Override
    public void await() {
      if (!passed) {
        driver.awaitEvent(handle);
        pass();
      }
    }

    private void pass() {
      passed = true;
      idle.push(this);
      launcher.progressed();
    }
  }

  /** Waits first: other ranks' devices may read what this one's work writes. */
  @Override
  public void close() {
    driver.synchronize(handle);
    idle.forEach(event -> driver.destroyEvent(event.handle));
    recordings.values().forEach(driver::destroyGraph);
    driver.destroyStream(handle);
  }
}
