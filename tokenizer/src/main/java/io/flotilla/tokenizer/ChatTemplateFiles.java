package io.flotilla.tokenizer;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;
import tools.jackson.databind.node.MissingNode;

/** What a model's folder says of its chat template. */
final class ChatTemplateFiles {
  private final Path folder;
  private final JsonNode config;

  ChatTemplateFiles(Path folder) {
    this.folder = folder;
    this.config = readConfig(folder.resolve("tokenizer_config.json"));
  }

  private static JsonNode readConfig(Path file) {
    if (!Files.exists(file)) {
      return MissingNode.getInstance();
    }
    try {
      return new ObjectMapper().readTree(read(file));
    } catch (JacksonException e) {
      throw new TokenizerException(
          file + " is corrupt: " + e.getOriginalMessage() + "; fetch it again", e);
    }
  }

  private static String read(Path file) {
    try {
      return Files.readString(file);
    } catch (IOException e) {
      throw new TokenizerException(file + " cannot be read as UTF-8: " + e.getMessage(), e);
    }
  }

  /** The template, or null where the folder has none. */
  @Nullable String template() {
    Path file = folder.resolve("chat_template.jinja");
    if (Files.exists(file)) {
      return read(file);
    }
    JsonNode template = config.path("chat_template");
    if (template.isString()) {
      return template.asString();
    }
    for (JsonNode named : template) {
      if (named.path("name").asString("").equals("default")) {
        return named.path("template").asString("");
      }
    }
    return null;
  }

  /** The special tokens that templates name: {@code bos_token}, {@code eos_token} and so on. */
  Map<String, String> specialTokens() {
    Map<String, String> tokens = new HashMap<>();
    for (Map.Entry<String, JsonNode> entry : config.properties()) {
      JsonNode value = entry.getValue();
      JsonNode content = value.isObject() ? value.path("content") : value;
      if (entry.getKey().endsWith("_token") && content.isString()) {
        tokens.put(entry.getKey(), content.asString());
      }
    }
    return tokens;
  }

  /** The text of a template given as a file or as itself. */
  static String textOf(String fileOrText) {
    try {
      Path file = Path.of(fileOrText);
      if (Files.isRegularFile(file)) {
        return read(file);
      }
    } catch (InvalidPathException e) {
      return fileOrText;
    }
    if (!fileOrText.contains("{%") && !fileOrText.contains("{{")) {
      throw new TokenizerException(
          "--chat-template is neither a file nor a Jinja template: " + fileOrText);
    }
    return fileOrText;
  }
}
