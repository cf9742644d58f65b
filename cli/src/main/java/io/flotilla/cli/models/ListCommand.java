package io.flotilla.cli.models;

import io.flotilla.checkpoint.hub.CachedModel;
import io.flotilla.checkpoint.hub.Hub;
import io.flotilla.checkpoint.hub.HubSettings;
import io.flotilla.cli.option.ByteSize;
import java.io.PrintWriter;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/** Lists the cache. */
@Command(name = "list", description = "List the models in the hub's cache, with their sizes.")
final class ListCommand implements Callable<Integer> {
  @Spec private CommandSpec spec = CommandSpec.create();

  @Override
  public Integer call() {
    HubSettings settings = HubSettings.ofEnvironment();
    List<CachedModel> models = new Hub(settings).cached();
    PrintWriter out = spec.commandLine().getOut();
    if (models.isEmpty()) {
      out.printf(
          "No models in %s. Fetch one with: flotilla models pull Qwen/Qwen3-0.6B%n",
          settings.cache());
      return 0;
    }
    int width = models.stream().mapToInt(model -> model.id().length()).max().orElseThrow();
    for (CachedModel model : models) {
      out.printf(
          "%-" + width + "s  %-12s  %10s%n",
          model.id(),
          model.revision(),
          ByteSize.format(model.bytes()));
    }
    return 0;
  }
}
