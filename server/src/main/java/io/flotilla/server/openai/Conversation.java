package io.flotilla.server.openai;

import io.flotilla.tokenizer.ChatMessage;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.StringJoiner;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * The messages of a request and what it says of their rendering.
 *
 * @param variables for the template
 */
record Conversation(
    List<ChatMessage> messages, boolean addGenerationPrompt, Map<String, Object> variables) {
  Conversation {
    messages = List.copyOf(messages);
  }

  /** Takes its fields. */
  static Conversation read(Fields fields) {
    boolean addGenerationPrompt = fields.flag("add_generation_prompt", true);
    FieldRules.mustBe(
        fields, "add_special_tokens", false, "the chat template has the special tokens");
    Fields variables = fields.object("chat_template_kwargs");
    List<ChatMessage> messages = new ArrayList<>();
    for (JsonNode message : fields.list("messages")) {
      messages.add(message("messages[" + messages.size() + "]", message));
    }
    if (messages.isEmpty()) {
      throw RefusedException.field(
          "messages", "messages is missing or empty; give at least one message");
    }
    return new Conversation(
        messages, addGenerationPrompt, variables == null ? Map.of() : variables.values());
  }

  /**
   * Renders and encodes it.
   *
   * @throws RefusedException when the model's template refuses it
   */
  int[] encode(ServedModel served) {
    int[] ids;
    try {
      ids = served.model().encodeChat(messages, addGenerationPrompt, variables);
    } catch (IllegalArgumentException e) {
      throw RefusedException.field("messages", String.valueOf(e.getMessage()));
    }
    if (ids.length == 0) {
      throw RefusedException.field("messages", "messages render to nothing; give one some content");
    }
    return ids;
  }

  private static ChatMessage message(String name, JsonNode node) {
    if (!(node instanceof ObjectNode object)) {
      throw Fields.wrongType(name, "an object", node);
    }
    Fields fields = new Fields(object, name + ".");
    String role = role(fields);
    JsonNode content = fields.take("content");
    for (String harmless : List.of("name", "refusal", "annotations")) {
      fields.take(harmless);
    }
    for (String unsupported : List.of("tool_calls", "tool_call_id", "function_call", "audio")) {
      JsonNode value = fields.take(unsupported);
      if (value != null && !(value.isArray() && value.isEmpty())) {
        throw RefusedException.field(
            fields.name(unsupported), fields.name(unsupported) + " is not supported yet");
      }
    }
    fields.refuseUnknown();
    if (content == null) {
      throw RefusedException.field(
          fields.name("content"), fields.name("content") + " is missing; give a string");
    }
    return new ChatMessage(role, content(fields.name("content"), content));
  }

  private static String role(Fields fields) {
    String role = fields.text("role");
    return switch (role) {
      case "system", "user", "assistant" -> role;
      // OpenAI's newer name; templates know the older one.
      case "developer" -> "system";
      case null ->
          throw RefusedException.field(fields.name("role"), fields.name("role") + " is missing");
      case "tool", "function" ->
          throw RefusedException.field(
              fields.name("role"),
              fields.name("role") + " is " + role + ", which is not supported yet");
      default ->
          throw RefusedException.field(
              fields.name("role"),
              fields.name("role")
                  + " is "
                  + Fields.quote(role)
                  + "; it must be system, developer, user or assistant");
    };
  }

  private static String content(String name, JsonNode content) {
    if (content.isString()) {
      return Fields.text(name, content);
    }
    if (!content.isArray()) {
      throw Fields.wrongType(name, "a string or a list of text parts", content);
    }
    // Joined as vLLM joins them.
    StringJoiner text = new StringJoiner("\n");
    for (int i = 0; i < content.size(); i++) {
      text.add(part(name + "[" + i + "]", content.get(i)));
    }
    return text.toString();
  }

  private static String part(String name, JsonNode node) {
    if (!(node instanceof ObjectNode object)) {
      throw Fields.wrongType(name, "an object", node);
    }
    Fields part = new Fields(object, name + ".");
    String type = part.text("type");
    if (!"text".equals(type)) {
      throw RefusedException.field(
          part.name("type"),
          part.name("type")
              + (type == null ? " is missing" : " is " + Fields.quote(type))
              + "; only text parts are supported yet");
    }
    String text = part.text("text");
    if (text == null) {
      throw RefusedException.field(part.name("text"), part.name("text") + " is missing");
    }
    part.refuseUnknown();
    return text;
  }
}
