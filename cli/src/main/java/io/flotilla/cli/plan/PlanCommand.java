package io.flotilla.cli.plan;

import io.flotilla.cli.option.ByteSize;
import io.flotilla.cli.option.EngineFlags;
import io.flotilla.cli.option.UsageException;
import io.flotilla.cli.terminal.DownloadBar;
import io.flotilla.cli.terminal.LogFormat;
import io.flotilla.executor.Topology;
import io.flotilla.generation.EngineOptions;
import io.flotilla.generation.Machine;
import io.flotilla.generation.Machine.Speed;
import io.flotilla.generation.ModelPlan;
import io.flotilla.generation.Placement;
import java.io.PrintWriter;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Says how a model can be spread over a machine, and what each way takes. */
@Command(
    name = "plan",
    sortOptions = false,
    description = {
      "List every layout that divides a model: memory, traffic between ranks, and the limits that"
          + " follow. No weights are loaded.",
      "The machine is this one, or a described one of GPUs.",
      ""
    },
    footer = {
      "",
      "Examples:",
      "  flotilla plan models/pocket",
      "  flotilla plan Qwen/Qwen3-32B --devices 4 --device-memory 80GiB \\",
      "      --memory-bandwidth 3000 --link-bandwidth 400 --compute 400"
    })
public final class PlanCommand implements Callable<Integer> {
  @Spec private CommandSpec spec = CommandSpec.create();

  @Parameters(
      paramLabel = "MODEL",
      description = "A folder, with weights or only a config.json, a .gguf file or a hub id.")
  private String model = "";

  @Option(names = "--json", description = "Print the plan as JSON.")
  private boolean json;

  @ArgGroup(validate = false, order = 5, heading = "%nMachine:%n")
  private final MachineFlags machine = new MachineFlags();

  @Mixin private final EngineFlags engine = new EngineFlags();

  private static final class MachineFlags {
    @Option(
        names = "--devices",
        paramLabel = "N",
        description = "Devices, one for each rank. Default: the cores of this machine.")
    private int devices;

    @Option(
        names = "--device-memory",
        paramLabel = "SIZE",
        converter = ByteSize.class,
        description = "Memory of each, such as 80GiB: GPUs that need not be here.")
    private long memory;

    @Option(
        names = "--memory-bandwidth",
        paramLabel = "GB/S",
        description = "What a GPU reads, or all cores of this machine; floors need it.")
    private double readGigabytes;

    @Option(
        names = "--link-bandwidth",
        paramLabel = "GB/S",
        description = "What a device sends to another. Default: half of what is read.")
    private double linkGigabytes;

    @Option(
        names = "--compute",
        paramLabel = "TERA/S",
        description = "10^12 multiply-adds a second (half of TFLOP/s); floors need it.")
    private double tera;

    @Nullable Machine toMachine() {
      if (devices < 0 || readGigabytes < 0 || linkGigabytes < 0 || tera < 0) {
        throw new UsageException("the numbers of a machine are positive");
      }
      if (memory > 0 && devices == 0) {
        throw new UsageException("--device-memory is for --devices N: say how many there are");
      }
      double link = linkGigabytes > 0 ? linkGigabytes : readGigabytes / 2;
      Speed speed = new Speed(readGigabytes * 1e9, link * 1e9, tera * 1e12);
      boolean given = devices > 0 || speed.readBytes() > 0 || tera > 0 || linkGigabytes > 0;
      String name = memory > 0 ? devices + " GPUs as described" : "this machine";
      return given ? new Machine(name, devices, memory, speed) : null;
    }
  }

  @Override
  public Integer call() {
    EngineOptions options = engine.toOptions(model);
    if (!options.topology().equals(Topology.SINGLE)
        || !options.placement().equals(Placement.DEFAULT)) {
      throw new UsageException("plan tries every layout: leave out the flags of parallelism");
    }
    if (options.quantization() != null) {
      throw new UsageException(
          "--quantization: plan takes weights as they are stored, or else as bf16; leave it out");
    }
    LogFormat.leaveOutInformation();
    ModelPlan plan;
    try (DownloadBar bar = new DownloadBar()) {
      plan = ModelPlan.of(options, machine.toMachine(), bar::onProgress);
    }
    PlanReport report = new PlanReport(model, plan);
    PrintWriter out = spec.commandLine().getOut();
    out.print(json ? report.json() : report.text());
    out.flush();
    return 0;
  }
}
