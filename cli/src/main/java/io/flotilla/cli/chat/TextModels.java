package io.flotilla.cli.chat;

import io.flotilla.bench.client.OpenAiClient;
import io.flotilla.bench.client.ServerException;
import io.flotilla.cli.option.EngineFlags;
import org.jspecify.annotations.Nullable;

/** Chooses where a model runs. */
final class TextModels {
  private TextModels() {}

  /**
   * @param model to run here, or null to ask a server
   */
  static TextModel open(
      @Nullable String model, EngineFlags engine, ServerFlag server, SamplingFlags sampling)
      throws ServerException, InterruptedException {
    return model == null ? ask(server, sampling) : LocalModel.load(model, engine, sampling);
  }

  private static TextModel ask(ServerFlag server, SamplingFlags sampling)
      throws ServerException, InterruptedException {
    OpenAiClient client = server.connect();
    try {
      return new RemoteModel(client, sampling);
    } catch (ServerException | InterruptedException | RuntimeException e) {
      client.close();
      throw e;
    }
  }
}
