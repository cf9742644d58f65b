package io.flotilla.cli.chat;

import io.flotilla.bench.client.Chunk;
import io.flotilla.bench.client.OpenAiClient;
import io.flotilla.bench.client.ServerException;
import io.flotilla.tokenizer.ChatMessage;
import java.util.List;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Consumer;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** A model behind an OpenAI address: the first one the server names. */
final class RemoteModel implements TextModel {
  private final OpenAiClient client;
  private final SamplingFlags sampling;
  private final String name;

  /** Asks the server for its model. */
  RemoteModel(OpenAiClient client, SamplingFlags sampling)
      throws ServerException, InterruptedException {
    this.client = client;
    this.sampling = sampling;
    this.name = client.firstModel().id();
  }

  @Override
  public String name() {
    return name;
  }

  @Override
  public void chat(List<ChatMessage> turns, Consumer<String> text)
      throws ServerException, InterruptedException {
    ObjectNode body = request();
    ArrayNode messages = body.putArray("messages");
    for (ChatMessage turn : turns) {
      messages.addObject().put("role", turn.role()).put("content", turn.content());
    }
    stream("/v1/chat/completions", body, text);
  }

  @Override
  public void complete(String prompt, Consumer<String> text)
      throws ServerException, InterruptedException {
    stream("/v1/completions", request().put("prompt", prompt), text);
  }

  private ObjectNode request() {
    ObjectNode body = JsonMapper.shared().createObjectNode().put("model", name).put("stream", true);
    sampling.write(body);
    return body;
  }

  private void stream(String endpoint, ObjectNode body, Consumer<String> text)
      throws ServerException, InterruptedException {
    AtomicReference<Chunk> failed = new AtomicReference<>();
    client.stream(
        endpoint,
        body,
        chunk -> {
          if (chunk.error() != null) {
            failed.set(chunk);
          }
          text.accept(chunk.text());
        });
    if (failed.get() != null) {
      throw new ServerException(String.valueOf(failed.get().error()));
    }
  }

  @Override
  public void close() {
    client.close();
  }
}
