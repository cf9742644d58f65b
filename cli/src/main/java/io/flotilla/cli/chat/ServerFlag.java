package io.flotilla.cli.chat;

import io.flotilla.bench.client.OpenAiClient;
import java.net.URI;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** Which server to ask. */
final class ServerFlag {
  @Option(
      names = "--url",
      paramLabel = "URL",
      defaultValue = "http://localhost:8000",
      description =
          "The server to ask, any that speaks OpenAI's API. Default: ${DEFAULT-VALUE}."
              + " Its key is taken from OPENAI_API_KEY.")
  private URI url = URI.create("http://localhost:8000");

  OpenAiClient connect() {
    @Nullable String key = System.getenv("OPENAI_API_KEY");
    String address = url.toString().replaceFirst("/(v1/?)?$", "");
    return new OpenAiClient(URI.create(address), key == null || key.isBlank() ? null : key);
  }
}
