package io.flotilla.server.openai;

import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/**
 * Fields that change no answer here, and fields that would but are not supported: those are refused
 * unless they have the value that asks for nothing.
 */
final class FieldRules {
  private static final List<String> HARMLESS =
      List.of(
          "user",
          "store",
          "metadata",
          "parallel_tool_calls",
          "service_tier",
          "safety_identifier",
          "prompt_cache_key",
          "prompt_cache_retention",
          "spaces_between_special_tokens");

  private static final List<String> UNSUPPORTED =
      List.of(
          "tools",
          "tool_choice",
          "functions",
          "function_call",
          "response_format",
          "structured_outputs",
          "guided_json",
          "guided_regex",
          "guided_choice",
          "guided_grammar",
          "guided_decoding_backend",
          "guided_whitespace_pattern",
          "audio",
          "modalities",
          "prediction",
          "reasoning_effort",
          "verbosity",
          "web_search_options",
          "suffix",
          "use_beam_search",
          "length_penalty",
          "early_stopping",
          "bad_words",
          "allowed_token_ids",
          "truncate_prompt_tokens",
          "prompt_embeds",
          "chat_template",
          "documents",
          "continue_final_message",
          "priority",
          "logits_processors",
          "return_tokens_as_token_ids",
          "return_token_ids",
          "kv_transfer_params",
          "mm_processor_kwargs");

  /** Values, as JSON writes them, that ask for nothing. */
  private static final Set<String> NOTHING =
      Set.of("false", "[]", "{}", "\"\"", "{\"type\":\"text\"}", "[\"text\"]");

  private FieldRules() {}

  /** Takes every field that the request's kind does not read itself, or refuses it by name. */
  static void apply(Fields fields) {
    HARMLESS.forEach(fields::take);
    for (String name : UNSUPPORTED) {
      JsonNode value = fields.take(name);
      if (value != null && !asksForNothing(name, value)) {
        throw RefusedException.field(
            fields.name(name), fields.name(name) + " is not supported yet; leave it out");
      }
    }
    fields.refuseUnknown();
  }

  private static boolean asksForNothing(String name, JsonNode value) {
    return switch (name) {
      case "tool_choice", "function_call" -> value.isString() && value.stringValue().equals("none");
      case "length_penalty" -> value.isNumber() && Fields.doubleOf(value) == 1;
      case "priority" -> value.isNumber() && Fields.doubleOf(value) == 0;
      default -> NOTHING.contains(value.toString());
    };
  }

  /** Refuses a flag that is on. */
  static void mustBe(Fields fields, String name, boolean supported, @Nullable String instead) {
    if (fields.flag(name, supported) != supported) {
      throw RefusedException.field(
          name,
          name + " is supported only as " + supported + (instead == null ? "" : "; " + instead));
    }
  }
}
