package io.flotilla.server.openai;

import static org.assertj.core.api.Assertions.catchThrowableOfType;

import io.flotilla.server.FakeModel;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.function.BiFunction;

/** Bodies of requests, written with {@code '} for quotes, and what becomes of them. */
final class Requests {
  static final ServedModel SERVED =
      new ServedModel(new FakeModel(), List.of("fake", "alias"), 1_700_000_000);

  private Requests() {}

  static byte[] json(String text) {
    return text.replace('\'', '"').getBytes(StandardCharsets.UTF_8);
  }

  /** A chat of one message with further fields, such as {@code 'n':2}. */
  static GenerationPlan chat(String fields) {
    return ChatParser.parse(chatBody(fields), SERVED);
  }

  static byte[] chatBody(String fields) {
    return json("{'messages':[{'role':'user','content':'hi'}]" + more(fields) + "}");
  }

  /** A completion of {@code hi} with further fields. */
  static GenerationPlan completion(String fields) {
    return CompletionParser.parse(completionBody(fields), SERVED);
  }

  static byte[] completionBody(String fields) {
    return json("{'prompt':'hi'" + more(fields) + "}");
  }

  static OpenAiError refusedChat(String fields) {
    return refusal(chatBody(fields), ChatParser::parse);
  }

  static OpenAiError refusedCompletion(String fields) {
    return refusal(completionBody(fields), CompletionParser::parse);
  }

  /** The error that a body is answered with. */
  static OpenAiError refusal(byte[] body, BiFunction<byte[], ServedModel, ?> parser) {
    RefusedException refused =
        catchThrowableOfType(RefusedException.class, () -> parser.apply(body, SERVED));
    if (refused == null) {
      throw new AssertionError("not refused: " + new String(body, StandardCharsets.UTF_8));
    }
    return refused.error();
  }

  private static String more(String fields) {
    return fields.isEmpty() ? "" : "," + fields;
  }
}
