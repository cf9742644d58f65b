package io.flotilla.bench.dataset;

import io.flotilla.tokenizer.Tokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * Conversations of people with a chat model: a JSON array of objects whose {@code conversations}
 * hold turns with a {@code value}. The first turn is the prompt, the second gives the length.
 *
 * @param path of the file
 * @param outputLength tokens to ask for; 0 asks for as many as the second turn has
 */
public record ShareGptDataset(Path path, int outputLength) implements Dataset {
  // vLLM's bounds of a sequence that is worth sending.
  private static final int MIN_TOKENS = 4;
  private static final int MAX_PROMPT = 1024;
  private static final int MAX_TOTAL = 2048;

  @Override
  public List<BenchmarkPrompt> sample(Tokenizer tokenizer, int count, long seed) {
    List<JsonNode> conversations = read();
    Collections.shuffle(conversations, new Random(seed));
    List<BenchmarkPrompt> prompts = new ArrayList<>();
    for (JsonNode turns : conversations) {
      if (prompts.size() == count) {
        break;
      }
      String prompt = turns.path(0).path("value").asString("");
      String answer = turns.path(1).path("value").asString("");
      int promptTokens = tokenizer.encode(prompt, true).length;
      int outputTokens = outputLength > 0 ? outputLength : tokenizer.encode(answer, true).length;
      if (isWorthSending(promptTokens, outputTokens)) {
        prompts.add(new BenchmarkPrompt(prompt, promptTokens, outputTokens));
      }
    }
    return Oversampling.fill(prompts, count, path);
  }

  private boolean isWorthSending(int promptTokens, int outputTokens) {
    return promptTokens >= MIN_TOKENS
        && (outputLength > 0 || outputTokens >= MIN_TOKENS)
        && promptTokens <= MAX_PROMPT
        && promptTokens + outputTokens <= MAX_TOTAL;
  }

  private List<JsonNode> read() {
    try {
      JsonNode root = JsonMapper.shared().readTree(Files.readAllBytes(path));
      List<JsonNode> conversations = new ArrayList<>();
      for (JsonNode entry : root) {
        if (entry.path("conversations").size() >= 2) {
          conversations.add(entry.path("conversations"));
        }
      }
      return conversations;
    } catch (IOException | JacksonException e) {
      throw new DatasetException("--dataset-path " + path + " cannot be read: " + e, e);
    }
  }
}
