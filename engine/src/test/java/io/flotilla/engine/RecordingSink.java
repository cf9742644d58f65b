package io.flotilla.engine;

import io.flotilla.engine.TokenEvent.Failed;
import io.flotilla.engine.TokenEvent.Finished;
import io.flotilla.engine.TokenEvent.PromptScored;
import io.flotilla.engine.TokenEvent.Token;
import java.util.ArrayList;
import java.util.List;

/** Keeps events, and fails the test when they come in an order that is never right. */
final class RecordingSink implements TokenSink {
  private final List<TokenEvent> events = new ArrayList<>();
  private final List<Integer> tokens = new ArrayList<>();
  private final int firstIndex;
  private boolean ended;

  RecordingSink() {
    this(0);
  }

  /** For a sequence that replays {@code firstIndex} tokens. */
  RecordingSink(int firstIndex) {
    this.firstIndex = firstIndex;
  }

  @Override
  public void accept(TokenEvent event) {
    if (ended) {
      throw new AssertionError(event + " after the end");
    }
    events.add(event);
    switch (event) {
      case Token token -> {
        if (token.index() != firstIndex + tokens.size()) {
          throw new AssertionError("index " + token.index());
        }
        tokens.add(token.token());
      }
      case PromptScored _ -> {
        if (!tokens.isEmpty()) {
          throw new AssertionError("scores after a token");
        }
      }
      case Finished _, Failed _ -> ended = true;
    }
  }

  List<TokenEvent> events() {
    return events;
  }

  List<Integer> tokens() {
    return tokens;
  }

  boolean ended() {
    return ended;
  }

  TokenEvent last() {
    return events.getLast();
  }
}
