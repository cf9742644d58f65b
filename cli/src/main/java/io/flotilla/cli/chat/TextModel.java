package io.flotilla.cli.chat;

import io.flotilla.bench.client.ServerException;
import io.flotilla.tokenizer.ChatMessage;
import java.util.List;
import java.util.function.Consumer;

/** A model that writes, wherever it runs. An interrupt of the calling thread ends the answer. */
interface TextModel extends AutoCloseable {
  /** What to call it. */
  String name();

  /**
   * Answers the last turn.
   *
   * @param text hears the answer piece by piece, from any thread, one at a time
   */
  void chat(List<ChatMessage> turns, Consumer<String> text)
      throws ServerException, InterruptedException;

  /** Continues a text; otherwise as {@link #chat}. */
  void complete(String prompt, Consumer<String> text) throws ServerException, InterruptedException;

  @Override
  void close();
}
