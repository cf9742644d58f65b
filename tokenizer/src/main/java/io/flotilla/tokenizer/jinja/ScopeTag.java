package io.flotilla.tokenizer.jinja;

import com.hubspot.jinjava.interpret.JinjavaInterpreter;
import com.hubspot.jinjava.lib.tag.ForTag;
import com.hubspot.jinjava.lib.tag.Tag;
import com.hubspot.jinjava.tree.Node;
import com.hubspot.jinjava.tree.TagNode;
import com.hubspot.jinjava.util.ForLoop;

/** Renders what it encloses with variables of its own, until a loop is continued or broken. */
final class ScopeTag implements Tag {
  private static final long serialVersionUID = 1L;

  private final String name;

  ScopeTag(String name) {
    this.name = name;
  }

  @Override
  public String getName() {
    return name;
  }

  @Override
  public String getEndTagName() {
    return "end" + name;
  }

  @Override
  public String interpret(TagNode node, JinjavaInterpreter interpreter) {
    StringBuilder text = new StringBuilder();
    try (JinjavaInterpreter.InterpreterScopeClosable scope = interpreter.enterScope()) {
      for (Node child : node.getChildren()) {
        text.append(child.render(interpreter));
        if (scope != null
            && interpreter.getContext().get(ForTag.LOOP) instanceof ForLoop loop
            && loop.isContinued()) {
          break;
        }
      }
    }
    return text.toString();
  }
}
