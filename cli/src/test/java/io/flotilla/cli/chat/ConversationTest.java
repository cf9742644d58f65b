package io.flotilla.cli.chat;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.flotilla.bench.client.ServerException;
import io.flotilla.tokenizer.ChatMessage;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;

class ConversationTest {
  /** Says the number of the turn, or breaks off as told. */
  private static final class ScriptedModel implements TextModel {
    private final List<List<ChatMessage>> asked = new ArrayList<>();
    private boolean interrupted;
    private boolean failing;

    @Override
    public String name() {
      return "scripted";
    }

    @Override
    public void chat(List<ChatMessage> turns, Consumer<String> text)
        throws ServerException, InterruptedException {
      asked.add(turns);
      text.accept("answer ");
      if (interrupted) {
        throw new InterruptedException();
      }
      if (failing) {
        throw new ServerException("HTTP 500: broken");
      }
      text.accept(Integer.toString(asked.size()));
    }

    @Override
    public void complete(String prompt, Consumer<String> text) {
      throw new AssertionError("a conversation completes nothing");
    }

    @Override
    public void close() {}
  }

  private final ScriptedModel model = new ScriptedModel();
  private final StringWriter shown = new StringWriter();
  private final Conversation conversation =
      new Conversation(model, new PrintWriter(shown), "be kind");

  private static ChatMessage turn(String role, String content) {
    return new ChatMessage(role, content);
  }

  @Test
  void sendsEveryTurnBefore() throws ServerException {
    conversation.say("one");
    conversation.say("  ");
    conversation.say("two");

    assertThat(shown).hasToString("answer 1\nanswer 2\n");
    assertThat(model.asked.get(1))
        .containsExactly(
            turn("system", "be kind"),
            turn("user", "one"),
            turn("assistant", "answer 1"),
            turn("user", "two"));
  }

  @Test
  void keepsWhatAStoppedAnswerSaid() throws ServerException {
    model.interrupted = true;
    conversation.say("one");
    model.interrupted = false;
    conversation.say("two");

    assertThat(shown.toString()).startsWith("answer  (stopped)\n");
    assertThat(model.asked.get(1)).contains(turn("assistant", "answer "));
  }

  @Test
  void forgetsATurnThatFailed() throws ServerException {
    model.failing = true;
    assertThatThrownBy(() -> conversation.say("one")).hasMessage("HTTP 500: broken");
    model.failing = false;
    conversation.say("two");

    assertThat(model.asked.get(1)).containsExactly(turn("system", "be kind"), turn("user", "two"));
  }

  @Test
  void obeysItsCommands() throws ServerException {
    conversation.say("one");
    conversation.say("/reset");
    conversation.say("two");
    conversation.say("/system answer in French");
    conversation.say("three");
    conversation.say("/system");
    conversation.say("four");
    conversation.say("/nonsense");

    assertThat(model.asked.get(1)).containsExactly(turn("system", "be kind"), turn("user", "two"));
    assertThat(model.asked.get(2))
        .containsExactly(turn("system", "answer in French"), turn("user", "three"));
    assertThat(model.asked.get(3)).containsExactly(turn("user", "four"));
    assertThat(shown.toString()).contains("/nonsense is no command", "Ctrl-D leaves");
  }
}
