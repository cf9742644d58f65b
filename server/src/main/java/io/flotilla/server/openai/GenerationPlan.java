package io.flotilla.server.openai;

import io.flotilla.generation.GenerationRequest;
import java.util.ArrayList;
import java.util.List;

/**
 * A request that was understood, whichever endpoint it came through.
 *
 * @param model what answers call the model
 * @param prompts token ids, each not empty
 * @param maxTokens for each prompt
 * @param echo whether the prompt's text begins the answer's
 * @param scoresPrompt whether the answer has the prompt's log-probabilities in vLLM's own field
 */
record GenerationPlan(
    String model,
    List<int[]> prompts,
    List<Integer> maxTokens,
    Sampling sampling,
    StreamFields stream,
    boolean echo,
    boolean scoresPrompt) {
  GenerationPlan {
    prompts = List.copyOf(prompts);
    maxTokens = List.copyOf(maxTokens);
  }

  /** Whether tokens come with log-probabilities. */
  boolean hasLogprobs() {
    return sampling.parameters().logprobs() >= 0;
  }

  /** The prompt of a choice, by the choice's index in the answer. */
  int[] promptOf(int index) {
    return prompts.get(index / sampling.choices());
  }

  /** One request to the model for each choice, in the order of the answer's indices. */
  List<GenerationRequest> requests(ServedModel served) {
    List<GenerationRequest> requests = new ArrayList<>();
    for (int prompt = 0; prompt < prompts.size(); prompt++) {
      // Equal prompts of one request would otherwise get equal answers.
      long seed =
          sampling.seeded()
              ? sampling.parameters().seed()
              : served.model().defaultSampling().seed();
      for (int choice = 0; choice < sampling.choices(); choice++) {
        requests.add(
            new GenerationRequest(
                prompts.get(prompt),
                sampling.choice(seed, choice),
                maxTokens.get(prompt),
                sampling.stop(),
                sampling.includeStop(),
                sampling.skipSpecialTokens(),
                sampling.cacheSalt()));
      }
    }
    return requests;
  }
}
