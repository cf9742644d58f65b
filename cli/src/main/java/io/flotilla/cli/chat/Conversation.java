package io.flotilla.cli.chat;

import io.flotilla.bench.client.ServerException;
import io.flotilla.tokenizer.ChatMessage;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.jspecify.annotations.Nullable;

/** Turns that are taken, and the small commands between them. */
final class Conversation {
  static final String HELP =
      """
      /system TEXT   start over with this system message; without TEXT, with none
      /reset         start over
      /help          this
      Ctrl-C stops an answer, Ctrl-D leaves.""";

  private final TextModel model;
  private final PrintWriter out;
  private final List<ChatMessage> turns = new ArrayList<>();
  private @Nullable String system;

  Conversation(TextModel model, PrintWriter out, @Nullable String system) {
    this.model = model;
    this.out = out;
    this.system = system;
    reset();
  }

  private void reset() {
    turns.clear();
    if (system != null) {
      turns.add(new ChatMessage("system", system));
    }
  }

  /** Takes a line of the user's: a command or a turn. An interrupt ends the answer alone. */
  void say(String line) throws ServerException {
    String text = line.strip();
    if (text.startsWith("/")) {
      command(text);
    } else if (!text.isEmpty()) {
      answer(text);
    }
    out.flush();
  }

  private void command(String text) {
    String[] words = text.split("\\s+", 2);
    switch (words[0]) {
      case "/reset" -> {
        reset();
        out.println("(a new conversation)");
      }
      case "/system" -> {
        system = words.length > 1 ? words[1] : null;
        reset();
        out.println("(a new conversation, system message " + (system == null ? "none)" : "set)"));
      }
      case "/help" -> out.println(HELP);
      default -> out.println(words[0] + " is no command\n" + HELP);
    }
  }

  private void answer(String text) throws ServerException {
    turns.add(new ChatMessage("user", text));
    // An answer that was stopped may still be arriving on another thread.
    Queue<String> answer = new ConcurrentLinkedQueue<>();
    try {
      model.chat(
          List.copyOf(turns),
          piece -> {
            answer.add(piece);
            out.print(piece);
            out.flush();
          });
      out.println();
    } catch (InterruptedException e) {
      out.println(" (stopped)");
    } catch (ServerException | RuntimeException e) {
      // A turn that failed did not happen: the user may say it again.
      turns.removeLast();
      throw e;
    }
    turns.add(new ChatMessage("assistant", String.join("", answer)));
  }
}
