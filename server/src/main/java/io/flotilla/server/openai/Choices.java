package io.flotilla.server.openai;

import io.flotilla.generation.Generation;
import io.flotilla.generation.GenerationEvent;
import io.flotilla.generation.GenerationEvent.Delta;
import io.flotilla.generation.GenerationEvent.Ended;
import io.flotilla.generation.GenerationEvent.Failed;
import io.flotilla.generation.GenerationEvent.PromptScored;
import io.flotilla.generation.GenerationRequest;
import io.flotilla.generation.LanguageModel;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;

/**
 * The choices of one request as they are generated, their events interleaved as they come. Each
 * choice is pulled on a virtual thread of its own, so that a client that reads slowly holds up the
 * reader of {@link #next} alone; what queues up meanwhile is bounded by {@code max_tokens}.
 *
 * <p>While nothing comes, and where nothing is written until the end, the client's presence is
 * looked at instead: closing this ends what still runs.
 */
final class Choices implements AutoCloseable {
  /** An event of a choice, or why its thread broke off. */
  record Event(int index, @Nullable GenerationEvent event, @Nullable Throwable failure) {}

  private static final long LOOK_NANOS = TimeUnit.MILLISECONDS.toNanos(500);

  private final Exchange exchange;
  private final RequestListener listener;
  private final boolean writes;
  private final BlockingQueue<Event> events = new LinkedBlockingQueue<>();
  private final List<Generation> generations = new ArrayList<>();
  private final List<Thread> threads = new ArrayList<>();
  private final AtomicInteger running = new AtomicInteger();
  private boolean looksForClient;

  /**
   * Starts them.
   *
   * @param writes whether the reader writes events as they come, and so notices a lost client
   */
  Choices(
      LanguageModel model,
      List<GenerationRequest> requests,
      Exchange exchange,
      RequestListener listener,
      boolean writes) {
    this.exchange = exchange;
    this.listener = listener;
    this.writes = writes;
    running.set(requests.size());
    try {
      for (GenerationRequest request : requests) {
        generations.add(model.generate(request));
      }
    } catch (RuntimeException e) {
      close();
      throw e;
    }
    for (int i = 0; i < generations.size(); i++) {
      int index = i;
      threads.add(Thread.ofVirtual().name("choice").start(() -> pull(index)));
    }
  }

  /**
   * Waits for the next event of any choice. Not to be called when all have ended.
   *
   * @throws ClientGoneException when the client went away
   */
  Indexed next() throws InterruptedException {
    while (true) {
      Event event = events.poll(LOOK_NANOS, TimeUnit.NANOSECONDS);
      // Looking costs a thread that wakes up, so what is answered at once is spared it.
      looksForClient |=
          event == null || (!writes && System.nanoTime() - exchange.arrivalNanos() > LOOK_NANOS);
      if (looksForClient && exchange.isClientGone()) {
        throw new ClientGoneException();
      }
      if (event != null) {
        if (event.event() == null) {
          throw new IllegalStateException("a choice broke off", event.failure());
        }
        return new Indexed(event.index(), event.event());
      }
    }
  }

  /** An event and the choice it belongs to. */
  record Indexed(int index, GenerationEvent event) {}

  private void pull(int index) {
    try {
      Generation generation = generations.get(index);
      long last = 0;
      boolean more = true;
      while (more) {
        GenerationEvent event = generation.next();
        events.add(new Event(index, event, null));
        switch (event) {
          case PromptScored _ -> {}
          case Delta delta -> last = delta.tokens().isEmpty() ? last : tokenCame(last);
          case Ended ended -> {
            more = false;
            ended(Finish.reason(ended));
          }
          case Failed _ -> {
            more = false;
            ended("error");
          }
        }
      }
    } catch (InterruptedException _) {
      // Closed: nobody waits for more.
    } catch (RuntimeException | Error e) {
      events.add(new Event(index, null, e));
      ended("error");
    }
  }

  private long tokenCame(long last) {
    long now = System.nanoTime();
    if (last == 0) {
      listener.firstToken(now - exchange.arrivalNanos());
    } else {
      listener.nextToken(now - last);
    }
    return now;
  }

  private void ended(String reason) {
    running.decrementAndGet();
    listener.ended(reason, System.nanoTime() - exchange.arrivalNanos());
  }

  /** Ends what still runs. */
  @Override
  public void close() {
    for (Thread thread : threads) {
      thread.interrupt();
    }
    boolean interrupted = false;
    for (Thread thread : threads) {
      while (thread.isAlive()) {
        try {
          thread.join();
        } catch (InterruptedException _) {
          interrupted = true;
        }
      }
    }
    generations.forEach(Generation::close);
    while (running.get() > 0) {
      ended("abort");
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
