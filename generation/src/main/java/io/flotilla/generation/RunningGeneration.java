package io.flotilla.generation;

import io.flotilla.engine.EngineCommand.Submit;
import io.flotilla.engine.TokenEvent;
import io.flotilla.engine.TokenEvent.FinishReason;
import io.flotilla.engine.TokenEvent.Finished;
import io.flotilla.engine.TokenEvent.Token;
import io.flotilla.fleet.Router;
import io.flotilla.generation.GenerationEvent.Delta;
import io.flotilla.generation.GenerationEvent.Ended;
import io.flotilla.generation.GenerationEvent.Failed;
import io.flotilla.generation.GenerationEvent.GeneratedToken;
import io.flotilla.generation.GenerationEvent.PromptScored;
import io.flotilla.generation.GenerationEvent.Usage;
import io.flotilla.tokenizer.IncrementalDetokenizer;
import io.flotilla.tokenizer.StopStrings;
import io.flotilla.tokenizer.Tokenizer;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.Queue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import org.jspecify.annotations.Nullable;

/**
 * A sequence of the fleet, turned into text by the thread that pulls it. The engine's thread only
 * puts its events into a queue.
 *
 * <p>The engine knows nothing of stop strings, so it is a few tokens ahead when one is found. The
 * sequence is aborted then, and what comes until its end is neither shown nor counted.
 */
final class RunningGeneration implements Generation {
  private final long id;
  private final GenerationRequest request;
  private final Router router;
  private final BlockingQueue<TokenEvent> incoming = new LinkedBlockingQueue<>();
  private final Queue<GenerationEvent> outgoing = new ArrayDeque<>();
  private final IncrementalDetokenizer detokenizer;
  private final StopStrings stops;
  private int generated;
  private @Nullable Integer stopToken;
  private boolean pulledLast;
  private volatile boolean engineEnded;

  private RunningGeneration(
      long id, GenerationRequest request, Tokenizer tokenizer, Router router) {
    this.id = id;
    this.request = request;
    this.router = router;
    this.detokenizer =
        new IncrementalDetokenizer(tokenizer, request.skipSpecialTokens(), request.prompt());
    this.stops = new StopStrings(request.stop(), request.includeStop());
  }

  /**
   * Hands a choice to the fleet.
   *
   * @param id unique among the router's sequences
   */
  static RunningGeneration start(
      long id, GenerationRequest request, Tokenizer tokenizer, Router router) {
    RunningGeneration generation = new RunningGeneration(id, request, tokenizer, router);
    router.submit(
        new Submit(
            id,
            request.prompt(),
            new int[0],
            request.sampling(),
            request.maxTokens(),
            request.cacheSalt(),
            generation::accept));
    return generation;
  }

  private void accept(TokenEvent event) {
    if (event instanceof Finished || event instanceof TokenEvent.Failed) {
      engineEnded = true;
    }
    incoming.add(event);
  }

  @Override
  public GenerationEvent next() throws InterruptedException {
    while (outgoing.isEmpty()) {
      if (pulledLast) {
        throw new NoSuchElementException("the generation has ended");
      }
      translate(incoming.take());
    }
    GenerationEvent event = outgoing.remove();
    pulledLast = event instanceof Ended || event instanceof Failed;
    return event;
  }

  private void translate(TokenEvent event) {
    switch (event) {
      case TokenEvent.PromptScored scored -> outgoing.add(new PromptScored(scored.tokens()));
      case Token token -> take(token);
      case Finished finished -> finish(finished);
      case TokenEvent.Failed failed -> fail(failed);
    }
  }

  /** Makes one delta of all tokens that have come. */
  private void take(Token first) {
    if (stops.found() != null) {
      return;
    }
    StringBuilder text = new StringBuilder();
    List<GeneratedToken> tokens = new ArrayList<>();
    for (Token token = first; token != null; token = nextToken()) {
      tokens.add(new GeneratedToken(token.token(), token.logprobs()));
      text.append(text(token.token()));
    }
    generated += tokens.size();
    outgoing.add(new Delta(text.toString(), tokens));
    if (stops.found() != null) {
      close();
    }
  }

  /** The next token if it has come already and is still wanted, or null. */
  private @Nullable Token nextToken() {
    if (stops.found() != null || !(incoming.peek() instanceof Token token)) {
      return null;
    }
    incoming.remove();
    return token;
  }

  private String text(int token) {
    if (request.sampling().stopTokens().contains(token)) {
      stopToken = token;
      return "";
    }
    return stops.push(detokenizer.push(token));
  }

  private void finish(Finished finished) {
    if (stops.found() == null) {
      String rest = stops.push(detokenizer.flush());
      rest += stops.flush();
      if (!rest.isEmpty()) {
        outgoing.add(new Delta(rest, List.of()));
      }
    }
    boolean stopped = stops.found() != null;
    FinishReason reason = stopped ? FinishReason.STOP : finished.reason();
    outgoing.add(ended(reason, stopped ? null : stopToken, finished.cachedTokens()));
  }

  /** A failure after the answer was complete takes nothing from it. */
  private void fail(TokenEvent.Failed failed) {
    outgoing.add(
        stops.found() == null
            ? new Failed(failed.code(), failed.message())
            : ended(FinishReason.STOP, null, 0));
  }

  private Ended ended(FinishReason reason, @Nullable Integer lastToken, int cached) {
    return new Ended(
        reason, stops.found(), lastToken, new Usage(request.prompt().length, cached, generated));
  }

  @Override
  public void close() {
    if (!engineEnded) {
      router.abort(id);
    }
  }
}
