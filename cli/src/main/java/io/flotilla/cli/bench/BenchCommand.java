package io.flotilla.cli.bench;

import picocli.CommandLine.Command;

/** Groups the benchmarks. */
@Command(
    name = "bench",
    description = "Measure a server under load, the engine without one, or the kernels of a GPU.",
    subcommands = {
      BenchServeCommand.class,
      BenchThroughputCommand.class,
      BenchKernelsCommand.class
    })
public final class BenchCommand {}
