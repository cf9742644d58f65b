package io.flotilla.server;

import io.flotilla.engine.TokenEvent.FinishReason;
import io.flotilla.generation.Generation;
import io.flotilla.generation.GenerationEvent;
import io.flotilla.generation.GenerationEvent.Delta;
import io.flotilla.generation.GenerationEvent.Ended;
import io.flotilla.generation.GenerationEvent.GeneratedToken;
import io.flotilla.generation.GenerationEvent.Usage;
import io.flotilla.generation.GenerationRequest;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/** A choice that says what a test tells it to. */
public final class FakeGeneration implements Generation {
  public static final int CACHED = 1;

  private final GenerationRequest request;
  private final BlockingQueue<GenerationEvent> events = new LinkedBlockingQueue<>();
  private final CountDownLatch closed = new CountDownLatch(1);
  private volatile @Nullable RuntimeException failure;
  private int generated;

  FakeGeneration(GenerationRequest request) {
    this.request = request;
  }

  public GenerationRequest request() {
    return request;
  }

  /** Says a text, a token a character. */
  public FakeGeneration say(String text) {
    List<GeneratedToken> tokens =
        text.chars().mapToObj(letter -> new GeneratedToken(letter, null)).toList();
    return add(new Delta(text, tokens));
  }

  public FakeGeneration add(GenerationEvent event) {
    if (event instanceof Delta delta) {
      generated += delta.tokens().size();
    }
    events.add(event);
    return this;
  }

  public void end(FinishReason reason) {
    end(reason, null, null);
  }

  public void end(FinishReason reason, @Nullable String stop, @Nullable Integer stopToken) {
    add(new Ended(reason, stop, stopToken, new Usage(request.prompt().length, CACHED, generated)));
  }

  /** What the next event is replaced by. */
  public void breakOff(RuntimeException exception) {
    failure = exception;
    events.add(new Delta("", List.of()));
  }

  /** Whether the choice is closed, now or soon. */
  public boolean awaitClose() throws InterruptedException {
    return closed.await(10, TimeUnit.SECONDS);
  }

  public boolean isClosed() {
    return closed.getCount() == 0;
  }

  @Override
  public GenerationEvent next() throws InterruptedException {
    GenerationEvent event = events.take();
    RuntimeException exception = failure;
    if (exception != null) {
      throw exception;
    }
    return event;
  }

  @Override
  public void close() {
    closed.countDown();
  }
}
