package io.flotilla.bench.dataset;

import io.flotilla.tokenizer.Tokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.function.UnaryOperator;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * One's own prompts: a JSONL file of objects with a {@code prompt}.
 *
 * @param path of the file
 * @param outputLength tokens to ask for
 * @param template makes the text that is sent of a prompt, such as by the model's chat template
 */
public record CustomDataset(Path path, int outputLength, UnaryOperator<String> template)
    implements Dataset {

  @Override
  public List<BenchmarkPrompt> sample(Tokenizer tokenizer, int count, long seed) {
    List<String> texts = read();
    Collections.shuffle(texts, new Random(seed));
    List<BenchmarkPrompt> prompts = new ArrayList<>();
    for (String text : texts.subList(0, Math.min(count, texts.size()))) {
      String prompt = template.apply(text);
      int tokens = tokenizer.encode(prompt, true).length;
      prompts.add(new BenchmarkPrompt(prompt, tokens, outputLength));
    }
    return Oversampling.fill(prompts, count, path);
  }

  private List<String> read() {
    try (Stream<String> lines = Files.lines(path)) {
      return lines
          .filter(line -> !line.isBlank())
          .map(this::prompt)
          .collect(Collectors.toCollection(ArrayList::new));
    } catch (IOException | JacksonException e) {
      throw new DatasetException("--dataset-path " + path + " cannot be read: " + e, e);
    }
  }

  private String prompt(String line) {
    JsonNode prompt = JsonMapper.shared().readTree(line).path("prompt");
    if (!prompt.isString()) {
      throw new DatasetException(path + " has a line without a text \"prompt\": " + line);
    }
    return prompt.asString();
  }
}
