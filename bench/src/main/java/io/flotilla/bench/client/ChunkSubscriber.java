package io.flotilla.bench.client;

import java.net.http.HttpResponse.BodySubscriber;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.Flow.Subscription;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;

/** Reads events where they arrive, without a thread in between. */
final class ChunkSubscriber implements BodySubscriber<String> {
  private static final byte[] DONE = "[DONE]".getBytes(StandardCharsets.US_ASCII);

  private final Consumer<Chunk> listener;
  private final EventStreamParser parser = new EventStreamParser(this::onData);
  private final CompletableFuture<String> end = new CompletableFuture<>();
  private @Nullable Subscription subscription;

  ChunkSubscriber(Consumer<Chunk> listener) {
    this.listener = listener;
  }

  private void onData(byte[] bytes, int offset, int length) {
    if (!Arrays.equals(bytes, offset, offset + length, DONE, 0, DONE.length)) {
      listener.accept(Chunk.parse(bytes, offset, length));
    }
  }

  @Override
  public CompletionStage<String> getBody() {
    return end;
  }

  @Override
  public void onSubscribe(Subscription taken) {
    subscription = taken;
    taken.request(Long.MAX_VALUE);
  }

  @Override
  public void onNext(List<ByteBuffer> buffers) {
    if (end.isDone()) {
      return;
    }
    try {
      buffers.forEach(parser::feed);
    } catch (JacksonException e) {
      fail(new ServerException("the stream has an event that is not JSON: " + e.getMessage(), e));
    } catch (RuntimeException e) {
      fail(e);
    }
  }

  private void fail(Throwable cause) {
    end.completeExceptionally(cause);
    if (subscription != null) {
      subscription.cancel();
    }
  }

  @Override
  public void onError(Throwable cause) {
    end.completeExceptionally(cause);
  }

  @Override
  public void onComplete() {
    end.complete("");
  }
}
