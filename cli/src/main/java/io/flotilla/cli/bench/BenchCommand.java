package io.flotilla.cli.bench;

import picocli.CommandLine.Command;

/** Groups the benchmarks. */
@Command(
    name = "bench",
    description = "Measure a server under load, or the engine without one.",
    subcommands = {BenchServeCommand.class, BenchThroughputCommand.class})
public final class BenchCommand {}
