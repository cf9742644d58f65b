package io.flotilla.server.openai;

import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** {@code /v1/models} and {@code /v1/models/NAME}. */
public record Models(ServedModel served, String path) implements Endpoint {
  @Override
  public void handle(Exchange exchange) {
    if (exchange.path().length() > path.length() + 1) {
      String name = exchange.path().substring(path.length() + 1);
      exchange.answer(card(served.resolve(name)));
      return;
    }
    ObjectNode root = JsonMapper.shared().createObjectNode().put("object", "list");
    ArrayNode data = root.putArray("data");
    served.names().forEach(name -> data.add(card(name)));
    exchange.answer(root);
  }

  private ObjectNode card(String name) {
    return JsonMapper.shared()
        .createObjectNode()
        .put("id", name)
        .put("object", "model")
        .put("created", served.created())
        .put("owned_by", "flotilla")
        .put("root", served.model().name())
        .putNull("parent")
        .put("max_model_len", served.model().maxModelLength());
  }
}
