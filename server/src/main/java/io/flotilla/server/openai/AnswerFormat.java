package io.flotilla.server.openai;

import org.jspecify.annotations.Nullable;
import tools.jackson.databind.node.ObjectNode;

/** The shapes of one endpoint's answers; each method makes an element of {@code choices}. */
interface AnswerFormat {
  /** What ids begin with. */
  String idPrefix();

  /** The kind of a whole answer. */
  String object();

  /** The kind of an event. */
  String chunkObject();

  /** A choice that has ended, as a whole. */
  ObjectNode whole(GenerationPlan plan, Answer answer);

  /** What begins a streamed choice, or null where nothing does. */
  @Nullable ObjectNode opening(GenerationPlan plan, Answer answer);

  /** What a streamed choice has said since the last one. */
  ObjectNode delta(GenerationPlan plan, Answer answer);

  /** What ends a streamed choice. */
  ObjectNode ending(Answer answer);
}
