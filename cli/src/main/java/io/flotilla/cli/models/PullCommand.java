package io.flotilla.cli.models;

import io.flotilla.checkpoint.hub.Hub;
import io.flotilla.checkpoint.hub.HubSettings;
import io.flotilla.cli.terminal.DownloadBar;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Fetches a model ahead of its use. */
@Command(
    name = "pull",
    description =
        "Fetch a model into the hub's cache. A fetch that was cut continues where it ended.",
    footer = {
      "",
      "HF_HOME, HF_TOKEN, HF_ENDPOINT and HF_HUB_OFFLINE are honoured.",
      "",
      "Example: flotilla models pull Qwen/Qwen3-0.6B"
    })
final class PullCommand implements Callable<Integer> {
  @Spec private CommandSpec spec = CommandSpec.create();

  @Parameters(
      paramLabel = "MODEL",
      description = "ORG/NAME, ORG/NAME@REVISION or ORG/NAME/FILE.gguf.")
  private String model = "";

  @Override
  public Integer call() {
    try (DownloadBar bar = new DownloadBar()) {
      spec.commandLine().getOut().println(new Hub(HubSettings.ofEnvironment()).resolve(model, bar));
    }
    return 0;
  }
}
