package io.flotilla.fleet;

import io.flotilla.engine.EngineCommand.Submit;
import io.flotilla.engine.TokenEvent;
import io.flotilla.engine.TokenEvent.Failed;
import io.flotilla.engine.TokenEvent.FailureCode;
import io.flotilla.engine.TokenEvent.Finished;
import io.flotilla.engine.TokenEvent.PromptScored;
import io.flotilla.engine.TokenEvent.Token;
import io.flotilla.engine.TokenSink;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;

/**
 * Gives each sequence to the serving replica with the fewest outstanding tokens: prompts not
 * computed yet and tokens not generated yet, of all sequences it was given. When no replica serves,
 * the sequence fails at once. Thread-safe.
 */
public final class Router implements AutoCloseable {
  private record Replica(EngineClient client, AtomicLong outstanding) {}

  private final List<Replica> replicas;

  /**
   * @param clients at least one; the router closes them
   */
  public Router(List<EngineClient> clients) {
    if (clients.isEmpty()) {
      throw new IllegalArgumentException("a router needs at least one replica");
    }
    replicas = clients.stream().map(client -> new Replica(client, new AtomicLong())).toList();
  }

  /** Hands over a sequence, whose id is unique among all replicas. */
  public void submit(Submit submit) {
    Replica least = leastLoaded();
    if (least == null) {
      submit.sink().accept(unserved(submit.id()));
      return;
    }
    least.client.submit(
        new Submit(
            submit.id(),
            submit.prompt(),
            submit.generated(),
            submit.sampling(),
            submit.maxTokens(),
            submit.cacheSalt(),
            new CountingSink(submit, least.outstanding)));
  }

  /** Ends a sequence; unknown ids are ignored. */
  public void abort(long id) {
    for (Replica replica : replicas) {
      replica.client.abort(id);
    }
  }

  /** Takes no more sequences; returns at once. */
  public void drain() {
    for (Replica replica : replicas) {
      replica.client.drain();
    }
  }

  /** Every replica as it is now. */
  public List<EngineStatus> statuses() {
    return replicas.stream().map(replica -> replica.client.status()).toList();
  }

  @Override
  public void close() {
    for (Replica replica : replicas) {
      replica.client.close();
    }
  }

  private @Nullable Replica leastLoaded() {
    Replica least = null;
    for (Replica replica : replicas) {
      if (replica.client.status().isServing()
          && (least == null || replica.outstanding.get() < least.outstanding.get())) {
        least = replica;
      }
    }
    return least;
  }

  private Failed unserved(long id) {
    for (Replica replica : replicas) {
      String trouble = replica.client.status().trouble();
      if (trouble != null) {
        return new Failed(id, FailureCode.REPLICA_FAILED, "no replica lives: " + trouble);
      }
    }
    return new Failed(id, FailureCode.DRAINING, "no replica takes more work");
  }

  /** Keeps a replica's outstanding tokens while it passes events on. */
  private static final class CountingSink implements TokenSink {
    private final TokenSink sink;
    private final AtomicLong outstanding;
    private final int prompt;
    private long left;
    private boolean prefilled;

    CountingSink(Submit submit, AtomicLong outstanding) {
      this.sink = submit.sink();
      this.outstanding = outstanding;
      this.prompt = submit.prompt().length + submit.generated().length;
      this.left = (long) prompt + submit.maxTokens() - submit.generated().length;
      outstanding.addAndGet(left);
    }

    @Override
    public void accept(TokenEvent event) {
      switch (event) {
        case PromptScored _ -> {}
        case Token _ -> {
          settle(prefilled ? 1 : prompt + 1L);
          prefilled = true;
        }
        case Finished _, Failed _ -> settle(left);
      }
      sink.accept(event);
    }

    private void settle(long tokens) {
      left -= tokens;
      outstanding.addAndGet(-tokens);
    }
  }
}
