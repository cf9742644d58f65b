package io.flotilla.server.openai;

import java.util.Arrays;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** {@code /tokenize} and {@code /detokenize}, as vLLM has them. */
public final class Tokenization {
  private Tokenization() {}

  /** Ids of a text or of a conversation. */
  public static Endpoint tokenize(ServedModel served) {
    return exchange -> exchange.answer(tokenize(exchange.body(), served));
  }

  /** The text of ids. */
  public static Endpoint detokenize(ServedModel served) {
    return exchange -> exchange.answer(detokenize(exchange.body(), served));
  }

  static ObjectNode tokenize(byte[] body, ServedModel served) {
    Fields fields = JsonBody.parse(body);
    served.resolve(fields.text("model"));
    boolean texts = fields.flag("return_token_strs", false);
    String prompt = fields.text("prompt");
    if ((prompt == null) == (fields.take("messages") == null)) {
      throw RefusedException.field("prompt", "give either prompt or messages");
    }
    int[] ids;
    if (prompt == null) {
      Conversation conversation = Conversation.read(fields);
      FieldRules.apply(fields);
      ids = conversation.encode(served);
    } else {
      boolean addSpecialTokens = fields.flag("add_special_tokens", true);
      FieldRules.apply(fields);
      ids = served.model().tokenizer().encode(prompt, addSpecialTokens);
    }
    return answer(ids, texts, served);
  }

  private static ObjectNode answer(int[] ids, boolean texts, ServedModel served) {
    ObjectNode root =
        JsonMapper.shared()
            .createObjectNode()
            .put("count", ids.length)
            .put("max_model_len", served.model().maxModelLength());
    ArrayNode tokens = root.putArray("tokens");
    Arrays.stream(ids).forEach(tokens::add);
    if (texts) {
      ArrayNode strings = root.putArray("token_strs");
      Arrays.stream(ids).forEach(id -> strings.add(served.model().tokenizer().token(id)));
    } else {
      root.putNull("token_strs");
    }
    return root;
  }

  static ObjectNode detokenize(byte[] body, ServedModel served) {
    Fields fields = JsonBody.parse(body);
    served.resolve(fields.text("model"));
    JsonNode tokens = fields.take("tokens");
    fields.refuseUnknown();
    if (tokens == null || !tokens.isArray()) {
      throw RefusedException.field("tokens", "tokens is missing or no list; give token ids");
    }
    int[] ids = tokens.isEmpty() ? new int[0] : Prompts.tokens("tokens", tokens, served);
    return JsonMapper.shared()
        .createObjectNode()
        .put("prompt", served.model().tokenizer().decode(ids, false));
  }
}
