package io.flotilla.checkpoint;

import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The sampling a model's authors recommend, from {@code generation_config.json}. Null where the
 * file is silent or there is none.
 */
public record GenerationDefaults(
    @Nullable Float temperature,
    @Nullable Integer topK,
    @Nullable Float topP,
    @Nullable Float minP,
    @Nullable Float repetitionPenalty,
    List<Integer> endOfSequence) {
  public GenerationDefaults {
    endOfSequence = List.copyOf(endOfSequence);
  }
}
