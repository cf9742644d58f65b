package io.flotilla.server.openai;

import io.flotilla.generation.LanguageModel;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The model and what requests may call it.
 *
 * @param names at least one; answers use the one the request used
 * @param created seconds since 1970 when it was loaded
 */
public record ServedModel(LanguageModel model, List<String> names, long created) {
  public ServedModel {
    names = List.copyOf(names);
  }

  /**
   * The name that answers use.
   *
   * @param requested as the request has it; null is the first one
   * @throws RefusedException when it is not this model's
   */
  String resolve(@Nullable String requested) {
    if (requested == null) {
      return names.getFirst();
    }
    if (!names.contains(requested)) {
      throw new RefusedException(
          OpenAiError.unknownModel(Fields.quote(requested), String.join(", ", names)));
    }
    return requested;
  }

  /** The largest id that has an embedding; a vocabulary may be padded beyond its tokenizer's. */
  int largestTokenId() {
    return model.config().vocabularySize() - 1;
  }

  /** The text of a single token. */
  String tokenText(int id) {
    return model.tokenizer().decode(new int[] {id}, false);
  }
}
