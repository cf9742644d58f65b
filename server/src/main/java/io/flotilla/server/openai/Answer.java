package io.flotilla.server.openai;

import io.flotilla.generation.GenerationEvent.Delta;
import io.flotilla.generation.GenerationEvent.Ended;
import io.flotilla.generation.GenerationEvent.GeneratedToken;
import io.flotilla.model.sampling.TokenLogprobs;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** What a choice has said and was not sent yet. */
final class Answer {
  private final int index;
  private final List<GeneratedToken> tokens = new ArrayList<>();
  private List<TokenLogprobs> prompt = List.of();
  private StringBuilder text = new StringBuilder();
  private @Nullable Ended ended;
  private int offset;
  private boolean opened;

  Answer(int index) {
    this.index = index;
  }

  int index() {
    return index;
  }

  void add(Delta delta) {
    text.append(delta.text());
    tokens.addAll(delta.tokens());
  }

  void scored(List<TokenLogprobs> scores) {
    prompt = scores;
  }

  void end(Ended event) {
    ended = event;
  }

  String text() {
    return text.toString();
  }

  List<GeneratedToken> tokens() {
    return tokens;
  }

  /** Log-probabilities of the prompt's tokens but its first. */
  List<TokenLogprobs> prompt() {
    return prompt;
  }

  boolean hasEnded() {
    return ended != null;
  }

  Ended ended() {
    if (ended == null) {
      throw new IllegalStateException("choice " + index + " has not ended");
    }
    return ended;
  }

  /** Characters of tokens sent before. */
  int offset() {
    return offset;
  }

  /** Forgets what was sent. */
  void sent(int characters) {
    offset += characters;
    text = new StringBuilder();
    tokens.clear();
  }

  /** Whether this is the first call. */
  boolean open() {
    boolean first = !opened;
    opened = true;
    return first;
  }
}
